import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from rbench.corruptions.elastic import affinely, displaced, elastic_transform, elastic_transform_variant
from rbench.corruptions.generators import Generator
from rbench.corruptions.randomness import Replay


def images(count, height, width):
    generator = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(count, 3, 5, 6, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear").round()


def uniform(*shape, reach=1.0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape))) * 2 - 1) * reach


def fetched(image, down, right):
    """An image [C, H, W] by scipy, at places that many pixels away."""
    rows, columns = np.indices(image.shape[1:])
    places = rows + down.double().numpy(), columns + right.double().numpy()
    return np.stack([map_coordinates(plane, places, order=1, mode="reflect") for plane in image.double().numpy()])


def smooth(noise, sigma, alpha):
    return torch.from_numpy(gaussian_filter(noise.double().numpy(), sigma, mode="reflect", truncate=3) * alpha)


def warped(image, offsets):
    """OpenCV's affine map of old, in whole numbers, pixel by pixel."""
    height, width, _ = image.shape
    q = min(height, width) // 3
    start = np.array([[q, q], [q, -q], [-q, -q]]) + np.array([height // 2, width // 2])
    end = np.float32(start) + offsets
    forth = np.linalg.solve(np.column_stack([start, np.ones(3)]), end.astype(float)).T
    back = np.linalg.inv(np.vstack([forth, [0, 0, 1]]))
    result = np.zeros_like(image)

    def mirrored(k, size):
        k %= 2 * size - 2
        return min(k, 2 * size - 2 - k)

    for y in range(height):
        for x in range(width):
            place = []
            for a, b, c in back[:2]:
                place.append((round(1024 * (b * y + c)) + 16 + round(1024 * a * x)) >> 5)
            (column, right), (row, down) = (divmod(k, 32) for k in place)
            for i, weight in ((0, 32 - down), (1, down)):
                for j, share in ((0, 32 - right), (1, right)):
                    pixel = image[mirrored(row + i, height), mirrored(column + j, width)]
                    result[y, x] += pixel * (weight * share / 1024)
    return result


@pytest.mark.parametrize(("height", "width", "reach"), [(32, 32, 2.56), (40, 33, 12.0), (33, 48, 0.0)])
def test_the_affine_map_has_the_fixed_point_of_old_opencv(height, width, reach):
    x = images(2, height, width)
    offsets = uniform(2, 3, 2, reach=reach)
    found = affinely(x, offsets)
    for image, offset, result in zip(x, offsets, found, strict=True):
        expected = warped(image.permute(1, 2, 0).double().numpy(), offset.numpy())
        np.testing.assert_allclose(result.permute(1, 2, 0), expected, atol=1e-4)
    assert torch.equal(found, x) == (reach == 0)


def test_an_affine_map_without_inverse_shows_one_pixel():
    x = images(1, 32, 32)
    q = 32 // 3
    squeezed = torch.tensor([[[0.0, -2 * q], [0, 0], [2 * q, 0]]])  # the first and the last go where the second is
    assert torch.equal(affinely(x, squeezed), x[..., :1, :1].expand_as(x))


@pytest.mark.parametrize("reach", [0.7, 5.0, 200.0])
def test_displacements_are_those_of_scipy(reach):
    x = images(2, 32, 45)
    down, right = uniform(2, 32, 45, reach=reach), uniform(3, 32, 45, reach=reach)[1:]
    found = displaced(x, down, right)
    for k in range(2):
        np.testing.assert_allclose(found[k], fetched(x[k], down[k], right[k]), atol=2e-4 * max(1, reach))


@pytest.mark.parametrize(("size", "severity"), [(32, 1), (32, 4), (64, 2), (224, 1)])
def test_hendrycks_transform_is_an_affine_map_and_then_smooth_displacements(size, severity):
    x = images(1, size, size)
    function, (alpha, sigma, affine) = Generator().recipe("elastic_transform", severity, size, size)
    assert function is elastic_transform
    offsets = uniform(1, 3, 2, reach=affine)
    right, down = uniform(2, size, size).split(1)
    found = elastic_transform(x / 255, Replay([offsets, right, down]), alpha, sigma, affine)[0] * 255
    expected = affinely(x, offsets)[0]
    if alpha > 0:
        fields = [smooth(field[0], sigma, alpha) for field in (down, right)]
        expected = torch.from_numpy(fetched(expected, *fields))
    # Cut down to a level below, but for a rounding.
    assert (expected - found.double() > -2e-3).all()
    assert (expected - found.double() < 1 + 2e-3).all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (140, 90)])
def test_the_variant_measures_by_the_image(height, width):
    x = images(1, height, width)
    function, (alpha, sigma, noise) = Generator("imagecorruptions").recipe("elastic_transform", 3, height, width)
    assert function is elastic_transform_variant
    assert (alpha, sigma, noise) == (21.25, 0.01, 0.005)
    right, down = uniform(2, height, width, reach=noise * height).split(1)
    found = elastic_transform_variant(x / 255, Replay([right, down]), alpha, sigma, noise)[0] * 255
    fields = [smooth(field[0], (sigma * height, sigma * width), alpha) for field in (down, right)]
    expected = fetched(x[0], *fields)
    assert (expected - found.double().numpy() > -2e-3).all()
    assert (expected - found.double().numpy() < 1 + 2e-3).all()
    assert np.abs(expected - x[0].numpy()).max() > 5
