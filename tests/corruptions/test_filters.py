import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rbench.corruptions import filters


def noise(*shape, dtype=torch.float32):
    return torch.from_numpy(np.random.default_rng(0).random(shape)).to(dtype)


@pytest.mark.parametrize("mode", ["nearest", "reflect"])
@pytest.mark.parametrize("shape", [(2, 3, 32, 41), (1, 2, 129, 150)], ids=str)
@pytest.mark.parametrize(("sigma", "truncate"), [(0.1, 4), (0.7, 4), (3, 4), (2.5, 3), (60, 3)])
def test_a_gaussian_is_that_of_scipy(sigma, truncate, shape, mode):
    x = noise(*shape)
    exact = ndimage.gaussian_filter(x.double().numpy(), (0, 0, sigma, sigma), mode=mode, truncate=truncate)
    assert np.abs(filters.gaussian(x, sigma, truncate=truncate, mode=mode).numpy() - exact).max() < 2e-6


@pytest.mark.parametrize("shape", [(2, 37, 41), (1, 140, 131)], ids=str)
@pytest.mark.parametrize("sigma", [(2.0, 0.7), (0.1, 3.0), (1.5, 0.1)], ids=str)
def test_a_gaussian_can_be_wider_along_one_axis(sigma, shape):
    x = noise(*shape)
    exact = ndimage.gaussian_filter(x.double().numpy(), (0, *sigma), mode="reflect", truncate=3)
    assert np.abs(filters.gaussian(x, sigma, truncate=3, mode="reflect").numpy() - exact).max() < 2e-6


def test_a_gaussian_too_narrow_for_a_neighbour_changes_nothing():
    x = noise(1, 3, 32, 32)
    assert torch.equal(filters.gaussian(x, 0.12), x)


def literal(image, radius, sigma, angle, truncate=False):
    """A motion blur of [C, H, W], pixel by pixel along the line."""
    height, width = image.shape[1:]
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    found = np.zeros(image.shape)
    for i, weight in enumerate(weights):
        right = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        down = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        if truncate and (abs(right) >= width or abs(down) >= height):
            break
        rows, columns = (np.arange(height) + down).clip(0, height - 1), (np.arange(width) + right).clip(0, width - 1)
        found += weight / sum(weights) * image[:, rows][:, :, columns]
    return found


@given(st.lists(st.floats(-180, 180), min_size=1, max_size=3), st.sampled_from([(6, 1), (10, 3), (20, 15)]))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("truncate", [False, True])
def test_a_motion_blur_walks_along_each_image_s_own_line(truncate, angles, kernel):
    x = noise(len(angles), 2, 33, 36, dtype=torch.float64)
    found = filters.motion(x, *kernel, torch.tensor(angles, dtype=torch.float64), truncate=truncate)
    exact = [literal(image, *kernel, angle, truncate) for image, angle in zip(x.numpy(), angles, strict=True)]
    assert np.abs(found.numpy() - np.stack(exact)).max() < 1e-12


def test_truncation_loses_light_only_where_the_line_leaves_the_image():
    x = torch.ones(2, 1, 32, 32)
    found = filters.motion(x, 20, 15, torch.tensor([0.0, 45.0]), truncate=True)
    weights = np.exp(-(np.arange(41) ** 2) / 450)
    assert float(found[0].mean()) == pytest.approx(weights[:32].sum() / weights.sum(), abs=1e-6)
    assert float(found[1].mean()) == pytest.approx(1, abs=1e-6)


def test_accelerators_gather_the_same_windows():
    padded, angles = noise(3, 2, 60, 60), torch.tensor([-45.0, 10.0, 100.0])
    weights, right, down = filters._taps(7, 3, angles)
    arguments = padded, weights.float(), right + 14, down + 14, 32, 32
    assert (filters._added(*arguments) - filters._gathered(*arguments)).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [1, 1.01, 1.31, 2.25, 4.5])
@pytest.mark.parametrize("shape", [(32, 32), (37, 52), (224, 224)], ids=str)
def test_a_clipped_zoom_is_that_of_scipy(shape, factor):
    x = noise(1, 2, *shape, dtype=torch.float64)
    cut = [(size - math.ceil(size / factor)) // 2 for size in shape]
    middle = [slice(first, first + math.ceil(size / factor)) for first, size in zip(cut, shape, strict=True)]
    large = ndimage.zoom(x[0][:, middle[0], middle[1]].numpy(), (1, factor, factor), order=1)
    top, left = ((big - size) // 2 for big, size in zip(large.shape[1:], shape, strict=True))
    exact = large[:, top : top + shape[0], left : left + shape[1]]
    assert np.abs(filters.clipped_zoom(x, factor)[0].numpy() - exact).max() < 1e-10
    side_by_side = filters.clipped_zoom(filters.channels_last(x), factor)
    assert torch.equal(filters.channels_first(side_by_side, x), filters.clipped_zoom(x, factor))


def test_bytes_survive_truncation_and_rounding():
    x = torch.arange(256).float() / 255
    assert torch.equal(filters.truncated(x), x)
    assert torch.equal(filters.rounded(x), x)
    assert torch.equal(filters.truncated(x * (1 - 1e-7)), x)
    assert filters.truncated(torch.tensor([0.4999, 1.2, -0.2])).mul(255).round().tolist() == [127, 255, 0]
    assert filters.rounded(torch.tensor([0.4999, 1.2, -0.2])).mul(255).round().tolist() == [127, 255, 0]
    assert filters.rounded(torch.tensor([0.4982])).mul(255).round().tolist() == [127]
    assert filters.truncated(torch.tensor([0.4999 * 1 / 255])).tolist() == [0]


def test_a_nudge_by_level_takes_one_where_it_is_negative():
    nudge = torch.full((256,), 1e-4)
    nudge[91] = -1e-4
    found = filters.truncated(torch.tensor([90.0, 91.0, 91.5, 92.0]) / 255, nudge)
    assert found.mul(255).round().tolist() == [90, 90, 91, 92]
