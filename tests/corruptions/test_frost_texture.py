import numpy as np
import pytest
import torch

from rbench.corruptions.frost_images import SIZES
from rbench.corruptions.frost_texture import textures

# Measured on the photographs: quantiles of luma at 1, 5, 25, 50, 75, 95 and 99 percent, mean red, green and blue.
QUANTILES = (
    (95, 102, 116, 128, 141, 163, 177),
    (140, 165, 193, 208, 220, 235, 244),
    (140, 165, 193, 208, 220, 235, 244),
    (81, 102, 132, 150, 167, 196, 231),
    (43, 58, 89, 117, 149, 202, 237),
)
MEANS = ((78, 149, 166), (201, 205, 215), (201, 205, 215), (138, 153, 165), (112, 123, 135))


@pytest.fixture(scope="module")
def made():
    return [x.numpy().astype(float) for x in textures()]


def luma(x):
    return np.tensordot([0.299, 0.587, 0.114], x, 1)


def test_sizes_brightness_and_colours_are_those_of_the_photographs(made):
    for x, size, quantiles, mean in zip(made, SIZES, QUANTILES, MEANS, strict=True):
        assert x.shape == (3, *size)
        assert np.abs(np.percentile(luma(x), (1, 5, 25, 50, 75, 95, 99)) - quantiles).max() <= 3
        assert np.abs(x.mean((1, 2)) - mean).max() <= 3


def test_colour_varies_in_one_direction(made):
    for x in made:
        spread = np.linalg.eigvalsh(np.cov(x.reshape(3, -1)))
        assert spread[-1] > 0.98 * spread.sum()


def test_spectra_fall_off_like_those_of_natural_textures(made):
    for x in made:
        gray = luma(x) - luma(x).mean()
        window = np.outer(np.hanning(gray.shape[0]), np.hanning(gray.shape[1]))
        power = np.abs(np.fft.fft2(gray * window)) ** 2
        f = np.hypot(np.fft.fftfreq(gray.shape[0])[:, None], np.fft.fftfreq(gray.shape[1]))
        edges = np.geomspace(0.01, 0.4, 20)
        ring = np.digitize(f, edges)
        means = [np.log(power[ring == k].mean()) for k in range(1, 20)]
        slope = np.polyfit(np.log(edges[1:] * edges[:-1]) / 2, means, 1)[0]
        assert -2.2 < slope < -1.1


def test_textures_are_the_same_in_every_process_and_version(made):
    # Who changes the pictures on purpose raises frost_texture.VERSION and writes the new means of the corners here.
    means = [float(x[:, :64, :64].mean()) for x in made]
    assert means == pytest.approx([134.4, 200.1, 200.1, 140.7, 110.2], abs=0.3)
    for x, again in zip(made, textures(), strict=True):
        assert torch.equal(torch.from_numpy(x), again.double())
