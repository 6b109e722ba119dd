"""Glass blur against the authors' loop, written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from rbench.corruptions.glass import glass_blur, sources
from rbench.corruptions.randomness import Replay, Stream
from rbench.corruptions.tables import TABLES
from rbench.rng import Draws


def moved(image, moves, d):
    """One pass over [H, W, C] with moves [2, H - 2d, W - 2d], the exchange written as the authors do."""
    image = image.copy()
    height, width = image.shape[:2]
    for h in range(height - d, d, -1):
        for w in range(width - d, d, -1):
            dx, dy = moves[:, h - d - 1, w - d - 1]
            image[h, w], image[h + dy, w + dx] = image[h + dy, w + dx], image[h, w]
    return image


def oracle(image, moves, sigma, d):
    """Image [H, W, 3] of bytes, in float64 as the authors have it."""
    blur = (sigma, sigma, 0)
    image = np.uint8(gaussian_filter(image / 255, blur, mode="nearest") * 255)
    for move in moves:
        image = moved(image, move, d)
    return np.uint8(np.clip(gaussian_filter(image / 255, blur, mode="nearest"), 0, 1) * 255)


def picture(height, width, seed=0):
    """Areas of one colour, where truncation is on the edge, and noise."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3)), np.ones((8, 8, 1), int))
    image = image[:height, :width].astype(np.uint8)
    image[height // 2 :, : width // 2] = rng.integers(0, 256, (height - height // 2, width // 2, 3))
    return image


def batch(image):
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_pass_is_the_authors_loop_even_where_all_moves_go_one_way(data):
    d = data.draw(st.integers(1, 5))
    height, width = data.draw(st.integers(2 * d + 1, 24)), data.draw(st.integers(2 * d + 1, 24))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    low = data.draw(st.integers(-d, d - 1))  # at d - 1 every pixel takes from one visited before: the longest chains
    moves = rng.integers(low, d, (2, height - 2 * d, width - 2 * d))
    image = np.arange(height * width).reshape(height, width, 1)
    found = sources(torch.from_numpy(moves)[None], d, height, width)
    assert np.array_equal(found[0].numpy(), moved(image, moves, d).ravel())


def test_a_chain_of_a_hundred_pixels_is_followed_to_its_end():
    moves = np.stack([np.ones((1, 100), int), np.zeros((1, 100), int)])  # each takes from the right
    found = sources(torch.from_numpy(moves)[None], 2, 5, 104)[0].view(5, 104)
    assert (found[3, 3:103] == 3 * 104 + 103).all()


@pytest.mark.parametrize(("size", "severities"), [(32, (1, 2, 3, 4, 5)), (64, (1, 2, 3, 4, 5)), (224, (3,))])
def test_images_are_those_of_the_authors_to_the_bit(size, severities):
    for severity in severities:
        sigma, d, iterations = TABLES[size]["glass_blur"][severity - 1]
        image = picture(size, size, severity)
        moves = np.random.default_rng(severity).integers(-d, d, (iterations, 2, size - 2 * d, size - 2 * d))
        found = glass_blur(batch(image), Replay([torch.from_numpy(moves)[None]]), sigma, d, iterations)
        exact = oracle(image, moves, sigma, d)
        # The convolution of large images is in float32: few elements in a hundred thousand fall on the other side.
        differ = (found[0] * 255).round().numpy().transpose(1, 2, 0).astype(int) - exact
        assert np.abs(differ).max() <= 1
        assert (differ != 0).mean() <= (0 if size < 128 else 1e-4)


def test_rectangles_and_batches():
    images = np.stack([picture(40, 56, seed) for seed in (1, 2)])
    moves = np.random.default_rng(0).integers(-2, 2, (2, 3, 2, 36, 52))
    x = torch.cat([batch(image) for image in images])
    found = glass_blur(x, Replay([torch.from_numpy(moves)]), 1, 2, 3)
    for image, move, row in zip(images, moves, found, strict=True):
        assert np.array_equal((row * 255).round().numpy().transpose(1, 2, 0), oracle(image, move, 1, 2))


def test_moves_reach_as_far_as_asked():
    x = torch.linspace(0, 1, 32 * 32).mul(255).round().view(1, 1, 32, 32).expand(1, 3, 32, 32) / 255
    still = glass_blur(x, Stream(Draws(0, "glass", torch.arange(1))), 0.05, 1, 1)
    assert torch.equal(still[..., 0, :], x[..., 0, :])  # the first rows and columns stay
    assert not torch.equal(still, x)
