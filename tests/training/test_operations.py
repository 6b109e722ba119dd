"""The operations of AugMix against array arithmetic, scipy and torchvision's own implementation on tensors."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import affine_transform

from rbench.errors import UsageError
from rbench.training import operations as ops
from rbench.training.pictures import batch, pictures, pixels


@pytest.fixture
def image():
    """Smooth, of all grey levels, and wider than high."""
    rows, columns, channels = np.mgrid[0:24, 0:33, 0:3]
    values = np.sin(rows / 5 + channels) + np.cos(columns / 7) + 2
    return (values * 63).astype(np.uint8)


def applied(operation, image, level, sign=1):
    return np.asarray(operation(Image.fromarray(image), level, sign))


@pytest.mark.parametrize(("level", "bits"), [(0.1, 4), (2.4, 4), (2.5, 3), (5, 2), (7.5, 1), (10, 1)])
def test_posterize_keeps_the_high_bits(image, level, bits):
    assert np.array_equal(applied(ops.posterize, image, level), image & (256 - 2 ** (8 - bits)))


@pytest.mark.parametrize(("level", "threshold"), [(0.01, 256), (1, 231), (2.99, 180), (10, 0)])
def test_solarize_inverts_from_its_threshold_on(image, level, threshold):
    assert np.array_equal(applied(ops.solarize, image, level), np.where(image < threshold, image, 255 - image))


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_histograms_are_torchvisions(image, name):
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    expected = getattr(tv, name)(tensor).permute(1, 2, 0).numpy()
    found = applied(getattr(ops, name), image, 3)
    assert abs(found.astype(int) - expected).max() <= 1
    assert not np.array_equal(found, image)


@pytest.mark.parametrize("sign", [1, -1])
def test_translations_are_shifts_onto_black(image, sign):
    # A third of 33 columns and of 24 rows, times level/10: 4.95 and 3.6 pixels, cut to 4 and 3.
    for operation, axis, shift in ((ops.translate_x, 1, 4), (ops.translate_y, 0, 3)):
        expected = np.zeros_like(image)
        size = image.shape[axis]
        kept = np.arange(shift, size) if sign == 1 else np.arange(size - shift)
        target = [slice(None)] * 3
        target[axis] = kept - sign * shift
        expected[tuple(target)] = np.take(image, kept, axis)
        assert np.array_equal(applied(operation, image, 4.5, sign), expected)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "rotate"])
def test_affine_operations_are_scipys(image, name, sign):
    level = 4.0
    shear = sign * 0.12
    angle = np.deg2rad(sign * 12.0)
    # (row, column) of the original for (row, column) of the result; pixels are counted at their centres.
    matrix = {
        "shear_x": [[1, 0], [shear, 1]],
        "shear_y": [[1, shear], [0, 1]],
        "rotate": [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]],
    }[name]
    middle = np.array([11.5, 16.0]) if name == "rotate" else np.array([-0.5, -0.5])
    found = applied(getattr(ops, name), image, level, sign)
    offset = middle - np.array(matrix) @ middle
    expected = np.stack(
        [affine_transform(image[..., c].astype(float), matrix, offset, order=1, cval=-999) for c in range(3)], 2
    )
    # Where a neighbour is outside, conventions differ.
    inside = expected >= 0
    assert inside.mean() > 0.7
    assert abs(found.astype(float) - expected)[inside].max() <= 1
    assert (found != image).mean() > 0.3


def test_degrees_are_whole(image):
    assert np.array_equal(applied(ops.rotate, image, 0.33), image)
    assert np.array_equal(applied(ops.rotate, image, 0.35), applied(ops.rotate, image, 0.66))
    assert not np.array_equal(applied(ops.rotate, image, 0.35), image)


def test_no_operation_overlaps_with_the_corruptions():
    from rbench.corruptions.tables import PARAMETERS

    names = [operation.__name__ for operation in ops.OPERATIONS]
    assert len(set(names)) == 9
    assert not set(names) & set(PARAMETERS)
    assert not {"color", "contrast", "brightness", "sharpness"} & set(names)


@settings(deadline=None)
@given(
    levels=arrays(np.uint8, st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 5)))
)
def test_pictures_there_and_back(levels):
    x = torch.from_numpy(levels).float() / 255
    drawn = pictures(x)
    assert [picture.size for picture in drawn] == [(x.shape[3], x.shape[2])] * len(x)
    assert torch.equal(batch([pixels(picture) for picture in drawn], like=x), x)


def test_images_that_are_no_pictures_are_refused():
    with pytest.raises(UsageError, match="images of 2 channels cannot be augmented"):
        pictures(torch.zeros(1, 2, 4, 4))
