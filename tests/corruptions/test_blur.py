"""The blurs against the authors' arithmetic in float64, on areas of one colour too, where the last bit decides."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from rbench.corruptions import blur
from rbench.corruptions.exact import gaussian_bytes
from rbench.corruptions.randomness import Replay
from rbench.corruptions.tables import TABLES

NONE = Replay([])


def picture(height, width=None, seed=0):
    """Bytes [2, 3, H, W] in [0, 1]: areas of one colour, where truncation is on the edge, and noise."""
    rng, width = np.random.default_rng(seed), width or height
    coarse = rng.integers(0, 256, (2, 3, -(-height // 16), -(-width // 16)))
    image = np.kron(coarse, np.ones((16, 16), int))[..., :height, :width]
    image[..., height // 2 :, : width // 2] = rng.integers(0, 256, (2, 3, height - height // 2, width // 2))
    return torch.from_numpy(image).float() / 255


def levels(x):
    return x.clamp(0, 1).mul(255).add(1e-4).floor().numpy().astype(int)


def exact_bytes(x):
    """Level by level as float64: what float32 stores as k / 255 is k / 255 again."""
    return x.mul(255).round().double().numpy() / 255


def differing(found, exact):
    difference = np.abs(levels(found) - np.uint8(np.clip(exact, 0, 1) * 255))
    assert difference.max() <= 1
    return (difference != 0).mean()


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_gaussian_blur_is_scipy_s_in_float64(size, severity):
    (sigma,) = TABLES[size]["gaussian_blur"][severity - 1]
    x = picture(size)
    exact = ndimage.gaussian_filter(exact_bytes(x), (0, 0, sigma, sigma), mode="nearest")
    assert differing(blur.gaussian_blur(x, NONE, sigma), exact) <= (0 if size == 32 else 5e-5)


@pytest.mark.parametrize("sigma", [0.7, 1, 1.5, 3, 6.5])
def test_areas_of_one_colour_lose_the_levels_that_they_lose_in_float64(sigma):
    x = (torch.arange(256).float() / 255).view(-1, 1, 1, 1)
    exact = np.floor(ndimage.gaussian_filter(exact_bytes(x), (0, 0, sigma, sigma), mode="nearest").ravel() * 255)
    large = gaussian_bytes(x.expand(-1, 1, 224, 224)[:: 1 if sigma == 1 else 9], sigma)
    assert np.array_equal(levels(large)[:, 0, ::37, ::37].min((1, 2)), exact[:: 1 if sigma == 1 else 9])
    assert np.array_equal(levels(gaussian_bytes(x.expand(-1, 1, 32, 32), sigma))[:, 0, 3, 5], exact)
    assert (exact != np.arange(256)).any() == (sigma != 0.7)  # by luck of the roundings


def disc(radius, alias_blur):
    """The authors' kernel in float64: a disc, then a small Gaussian with mirrored borders."""
    reach, border = (8, 1) if radius <= 8 else (radius, 2)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (rows**2 + columns**2 <= radius**2).astype(float)
    small = np.exp(-(np.arange(-border, border + 1) ** 2) / (2 * alias_blur**2))
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, small / small.sum(), axis, mode="mirror")
    return kernel / np.sum(rows**2 + columns**2 <= radius**2)


@pytest.mark.parametrize("size", [32, 64, 224, 299])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_defocus_blur_is_a_disc_at_mirrored_edges(size, severity):
    radius, alias_blur = TABLES[size]["defocus_blur"][severity - 1]
    x = picture(40, 52)
    exact = ndimage.convolve(exact_bytes(x), disc(radius, alias_blur)[None, None], mode="mirror")
    found = levels(blur.defocus_blur(x, NONE, radius, alias_blur))
    assert (np.abs(found - np.clip(exact, 0, 1) * 255 + 0.5) < 0.5 + 1e-3).all()


def test_large_discs_brighten_and_the_smallest_is_only_blurred():
    grey = torch.full((1, 3, 64, 64), 200 / 255)
    assert disc(8, 0.5).sum() == pytest.approx(1.0130, abs=5e-5)
    assert disc(10, 0.5).sum() == pytest.approx(1.0108, abs=5e-5)
    assert (levels(blur.defocus_blur(grey, NONE, 8, 0.5)) == 202).all()
    assert (levels(blur.defocus_blur(grey, NONE, 10, 0.5)) == 202).all()
    # The float32 weights 1 / 29 sum to a little less than one: every level of an area but black loses one.
    assert (levels(blur.defocus_blur(grey, NONE, 3, 0.1)) == 199).all()
    point = torch.zeros(1, 3, 32, 32)
    point[..., 16, 16] = 1
    assert (levels(blur.defocus_blur(point, NONE, 0.3, 0.4))[0, 0] != 0).sum() == 5  # the corners get 0.45 levels


def swept(image, radius, sigma, angle):
    """A motion blur of levels [C, H, W] as imagecorruptions sums it in float64."""
    height, width = image.shape[1:]
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    found = np.zeros(image.shape)
    for i, weight in enumerate(weights / weights.sum()):
        right = int(np.ceil(i * np.cos(np.radians(angle)) - 0.5))
        down = int(np.ceil(i * np.sin(np.radians(angle)) - 0.5))
        if abs(right) >= width or abs(down) >= height:
            break
        rows, columns = (np.arange(height) + down).clip(0, height - 1), (np.arange(width) + right).clip(0, width - 1)
        found = found + weight * image[:, rows][:, :, columns]
    return found


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_motion_blur_is_rounded_and_the_variant_truncated(severity):
    x, angle = picture(32), torch.tensor([-30.0, 3.0])
    parameters = TABLES[224]["motion_blur"][severity - 1]
    exact = np.stack(
        [swept(image * 255, *parameters, float(a)) for image, a in zip(exact_bytes(x), angle, strict=True)]
    )
    variant = blur.motion_blur_variant(x, Replay([angle]), *parameters)
    assert np.array_equal(levels(variant), np.floor(exact))
    found = levels(blur.motion_blur(x, Replay([angle]), *parameters))
    if severity < 5:  # where no pixel lies outside, both have the same weights
        assert (np.abs(found - exact) < 0.5 + 1e-3).all()
        assert (found != levels(variant)).any()
    else:
        assert found[1].mean() > 1.01 * exact[1].mean()


def test_the_angles_lie_between_45_degrees():
    class Asked:
        def uniform(self, shape, low, high):
            assert (tuple(shape), low, high) == ((), -45.0, 45.0)
            return torch.tensor([0.0, 0.0])

    x = picture(32)
    assert torch.equal(blur.motion_blur(x, Asked(), 6, 1), blur.motion_blur(x, Replay([torch.zeros(2)]), 6, 1))


def zoomed(image, factor):
    """[H, W] after scipy's zoom of the middle."""
    cut = [int(np.ceil(size / factor)) for size in image.shape]
    top, left = ((size - part) // 2 for size, part in zip(image.shape, cut, strict=True))
    return ndimage.zoom(image[top : top + cut[0], left : left + cut[1]], factor, order=1)[
        : image.shape[0], : image.shape[1]
    ]


@pytest.mark.parametrize(
    ("size", "severity", "count"), [(32, 1, 7), (64, 5, 26), (224, 1, 12), (224, 2, 16), (224, 5, 11)]
)
def test_a_zoom_blur_is_the_mean_of_that_many_zooms_and_of_the_image(size, severity, count):
    x = picture(48, 64)
    parameters = TABLES[size]["zoom_blur"][severity - 1]
    factors = [1 + i * parameters[2] for i in range(count)]
    image = exact_bytes(x)[0, 0]
    exact = (image + sum(zoomed(image, factor) for factor in factors)) / (count + 1) * 255
    found = levels(blur.zoom_blur(x, NONE, *parameters))[0, 0]
    assert (np.abs(found - exact + 0.5) < 0.5 + 1e-3).all()


def test_blurs_do_not_depend_on_who_shares_the_batch():
    x = torch.cat([picture(130, 140, seed) for seed in range(5)])
    for apply in (
        lambda x: blur.gaussian_blur(x, NONE, 1),
        lambda x: blur.defocus_blur(x, NONE, 4, 0.5),
        lambda x: blur.zoom_blur(x, NONE, 1, 1.11, 0.01),
        lambda x: blur.motion_blur(x, Replay([torch.full((len(x),), 20.0)]), 15, 5),
    ):
        together = apply(x)
        assert torch.equal(together[3:4], apply(x[3:4]))
        assert torch.equal(together[[7, 2]], apply(x[[7, 2]]))


def test_no_plane_of_a_zoom_is_left_to_a_rounding_of_its_own(monkeypatch):
    monkeypatch.setattr(blur, "truncated", lambda x, _: x)
    x = torch.cat([picture(64, seed=seed) for seed in range(6)])
    together = blur.zoom_blur(x, NONE, 1, 1.11, 0.01)
    assert torch.equal(together[[3]], blur.zoom_blur(x[[3]], NONE, 1, 1.11, 0.01))
    assert torch.equal(together[[10, 0]], blur.zoom_blur(x[[10, 0]], NONE, 1, 1.11, 0.01))
