from math import ceil, cos, exp, radians, sin

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom as scipy_zoom

from rbench.corruptions.corrupt import corrupt
from rbench.corruptions.randomness import Replay
from rbench.corruptions.snow import snow, snow_variant
from rbench.corruptions.tables import TABLES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def blurred(layer, radius, sigma, angle):
    """Motion blur, pixel after pixel of the line."""
    height, width = layer.shape
    weights = [exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    out = np.zeros_like(layer)
    for i, weight in enumerate(weights):
        right, down = ceil(i * cos(radians(angle)) - 0.5), ceil(i * sin(radians(angle)) - 0.5)
        rows, columns = np.arange(height) + down, np.arange(width) + right
        out += weight / sum(weights) * layer[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    return out


def literal(x, noise, angle, parameters, variant):
    """Snow on one image [3, H, W] by the definition, with SciPy's zoom."""
    loc, scale, zoom, threshold, radius, sigma, blend = parameters
    height, width = x.shape[1:]
    cut = ceil(height / zoom), ceil(width / zoom)
    top, left = (height - cut[0]) // 2, (width - cut[1]) // 2
    layer = scipy_zoom((loc + scale * noise)[top : top + cut[0], left : left + cut[1]], zoom, order=1)
    layer[layer < threshold] = 0
    layer = layer.clip(0, 1)
    if not variant:
        top, left = (layer.shape[0] - height) // 2, (layer.shape[1] - width) // 2
        layer = np.floor(layer[top : top + height, left : left + width] * 255) / 255
    layer = np.round(blurred(layer, radius, sigma, angle) * 255)[:height, :width] / 255
    gray = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
    white = blend * x + (1 - blend) * np.maximum(x, 1.5 * gray + 0.5)
    return white + layer + layer[::-1, ::-1]


@pytest.mark.parametrize("size", [(32, 32), (36, 47)])
@pytest.mark.parametrize("parameters", [*TABLES[32]["snow"], *TABLES[224]["snow"]])
@pytest.mark.parametrize("variant", [False, True])
def test_snow_by_its_definition(rng, size, parameters, variant):
    x = rng.integers(0, 256, (2, 3, *size)) / 255
    noise, angles = rng.normal(size=(2, *size)), rng.uniform(-135, -45, 2)
    draws = Replay([torch.from_numpy(noise), torch.from_numpy(angles)])
    found = (snow_variant if variant else snow)(torch.from_numpy(x).float(), draws, *parameters)
    for k in range(2):
        expected = literal(x[k], noise[k], angles[k], parameters, variant)
        # A sum that lies half way between two bytes may be rounded to either.
        wrong = np.abs(found[k].numpy() - expected) > 1e-5
        assert wrong.mean() < 2e-3
        assert np.abs(found[k].numpy() - expected).max() < 1 / 255 + 1e-5


def test_without_flakes_the_image_is_whitened_only():
    x = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    draws = Replay([torch.zeros(1, 32, 32), torch.tensor([-90.0])])
    gray = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    expected = 0.8 * x + 0.2 * (1.5 * gray + 0.5)
    torch.testing.assert_close(snow(x, draws, 0.0, 0.3, 1, 0.5, 10, 4, 0.8), expected)


def test_one_flake_falls_straight_down_and_once_more_upside_down():
    noise = torch.zeros(1, 32, 32)
    noise[0, 20, 10] = 0.9
    black = torch.zeros(1, 3, 32, 32)
    draws = Replay([noise, torch.tensor([-90.0])])
    found = snow(black, draws, 0.0, 1.0, 1, 0.5, 1, 1.0, 1.0)[0, 0] * 255
    weights = np.exp([0, -0.5, -2]) / np.exp([0, -0.5, -2]).sum()
    flake = torch.zeros(32, 32)
    flake[20:23, 10] = torch.from_numpy(np.round(weights * 229)).float()  # 229 = floor(0.9 * 255)
    torch.testing.assert_close(found, flake + flake.flip(0, 1), atol=1e-4, rtol=0)


def test_pure_colours_that_are_brighter_than_their_gray_stay():
    x = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    draws = Replay([torch.zeros(1, 32, 32), torch.tensor([-90.0])])
    found = snow(x, draws, 0.0, 0.3, 1, 0.5, 10, 4, 0.7)
    torch.testing.assert_close(found[:, 2], x[:, 2])
    torch.testing.assert_close(found[:, 0], torch.full((1, 32, 32), 0.3 * (1.5 * 0.114 + 0.5)))


def test_an_image_has_the_same_snow_in_any_batch():
    x = torch.full((3, 3, 32, 32), 90, dtype=torch.uint8)
    together = corrupt(x, "snow", severity=3, seed=4)
    assert torch.equal(corrupt(x[1:2], "snow", severity=3, seed=4, samples=[1]), together[1:2])
    assert not torch.equal(together[0], together[1])
