import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.corruptions import parts
from rbench.corruptions.colour import brightness, contrast, saturate

BYTE = st.integers(0, 255)


def pixels(colours):
    """One image of one row, in multiples of 1/255."""
    return torch.tensor(colours, dtype=torch.float32).T[None, :, None, :] / 255


def levels(y):
    return (y[0, :, 0, :].T * 255).round().int().tolist()


def by_colorsys(colour, change):
    """The exact levels of a colour, whose value and saturation are changed, by Python's own conversions."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    return [255 * c for c in colorsys.hsv_to_rgb(h, *change(s, v))]


def assert_truncated(found, exact):
    """Whole levels may lie a rounding apart, and truncation then makes one level of it."""
    for level, value in zip(found, exact, strict=True):
        assert value - 1 - 1e-9 < level < value + 1e-9


@settings(deadline=None)
@given(st.lists(st.tuples(BYTE, BYTE, BYTE), min_size=1, max_size=40), st.floats(0, 1))
def test_brightness_raises_the_value(colours, add):
    found = levels(brightness(pixels(colours), None, add))
    for colour, shown in zip(colours, found, strict=True):
        assert_truncated(shown, by_colorsys(colour, lambda s, v: (s, min(v + add, 1))))


@settings(deadline=None)
@given(st.lists(st.tuples(BYTE, BYTE, BYTE), min_size=1, max_size=40), st.floats(0, 30), st.floats(0, 1))
def test_saturate_scales_and_raises_the_saturation(colours, factor, add):
    found = levels(saturate(pixels(colours), None, factor, add))
    for colour, shown in zip(colours, found, strict=True):
        assert_truncated(shown, by_colorsys(colour, lambda s, v: (min(s * factor + add, 1), v)))


def test_grey_pixels_turn_red():
    assert levels(saturate(pixels([(100, 100, 100), (0, 0, 0)]), None, 1.0, 0.25)) == [[100, 75, 75], [0, 0, 0]]


@pytest.mark.parametrize("add", [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
def test_the_last_bit_of_float64_decides_between_levels_as_for_the_authors(add):
    found = levels(brightness(pixels([(k, k, k) for k in range(256)]), None, add))
    expected = np.uint8(np.clip(np.arange(256) / 255.0 + add, 0, 1) * 255)
    assert found == np.stack([expected] * 3, 1).tolist()


@pytest.mark.parametrize("factor", [0.75, 0.5, 0.4, 0.3, 0.15, 0.05])
@pytest.mark.parametrize("size", [(32, 32), (33, 50)])
def test_contrast_is_that_of_numpy_to_the_last_bit(size, factor):
    y = np.random.default_rng(0).integers(1, 256, (100, *size, 3), dtype=np.uint8)
    # Means that are whole levels make many a result a whole one, where the last bit decides.
    flat = y.reshape(100, -1, 3)
    flat -= np.arange(flat.shape[1])[:, None] < flat.sum(1, dtype=int, keepdims=True) % flat.shape[1]
    expected = []
    for image in y:
        x = np.array(image) / 255.0
        mean = np.mean(x, axis=(0, 1), keepdims=True)
        expected.append(np.uint8(np.clip((x - mean) * factor + mean, 0, 1) * 255))
    found = contrast(torch.from_numpy(y).permute(0, 3, 1, 2).float() / 255, None, factor)
    assert ((found * 255).round().byte().permute(0, 2, 3, 1).numpy() == np.stack(expected)).all()


def test_parts_of_a_batch_are_the_batch(monkeypatch):
    x = torch.randint(0, 256, (7, 3, 32, 40), generator=torch.Generator().manual_seed(0)) / 255
    calls = [(brightness, (0.2,)), (saturate, (2, 0.1)), (contrast, (0.4,))]
    whole = [function(x, None, *parameters) for function, parameters in calls]
    monkeypatch.setattr(parts, "PART", 3 * x[0].numel())
    for (function, parameters), expected in zip(calls, whole, strict=True):
        found = function(x, None, *parameters)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
