import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, gaussian_filter

from rbench.corruptions import parts
from rbench.corruptions.edges import box, canny, distances, embossed, equalised, thickness
from rbench.corruptions.randomness import Replay
from rbench.corruptions.spatter import BROWN, smoothed, spatter

WATER = (0.65, 0.3, 2, 0.68, 0.5, 0)
MUD = (0.65, 0.3, 1, 0.65, 1.5, 1)


def drops(count, height, width, sigma=2.0):
    """Layers of drops as bytes, float32 [B, H, W]."""
    noise = normal(count, height, width).double().numpy()
    layers = np.stack([gaussian_filter(layer * 0.3 + 0.65, sigma) for layer in noise])
    return torch.from_numpy(np.where(layers < 0.68, 0, layers * 255).astype(np.uint8)).float()


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def images(count, height, width):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator) / 255


def canny_by_loops(y, low, high):
    """Canny's detector, pixel by pixel, with angles instead of fixed points."""
    gx = correlate(y, np.outer([1, 2, 1], [-1, 0, 1]), mode="nearest")
    gy = correlate(y, np.outer([-1, 0, 1], [1, 2, 1]), mode="nearest")
    size = np.pad(abs(gx) + abs(gy), 1)
    strength = np.zeros_like(y)
    for i, j in itertools.product(*map(range, y.shape)):
        m = size[i + 1, j + 1]
        angle = np.degrees(np.arctan2(abs(gy[i, j]), abs(gx[i, j])))
        down, right = (0, 1) if angle < 22.5 else (1, 0) if angle > 67.5 else (1, 1 if gx[i, j] * gy[i, j] >= 0 else -1)
        before, after = size[i + 1 - down, j + 1 - right], size[i + 1 + down, j + 1 + right]
        peak = m > before and (m > after if down and right else m >= after)
        strength[i, j] = int(m > low) + int(m > high) if peak and m > low else 0
    found, queue = strength == 2, list(np.argwhere(strength == 2))
    while queue:
        i, j = queue.pop()
        for k, m in itertools.product((i - 1, i, i + 1), (j - 1, j, j + 1)):
            if 0 <= k < y.shape[0] and 0 <= m < y.shape[1] and strength[k, m] and not found[k, m]:
                found[k, m] = True
                queue.append((k, m))
    return found


@pytest.mark.parametrize("sigma", [0.7, 2.0, 4.0])
def test_edges_are_those_of_canny(sigma):
    y = drops(3, 40, 33, sigma)
    found = canny(y, 50, 150)
    assert found.any()
    for image, edges in zip(y.numpy(), found.numpy(), strict=True):
        assert (edges == canny_by_loops(image.astype(int), 50, 150)).all()


def test_weak_edges_count_where_they_touch_strong_ones_of_the_same_image():
    y = torch.zeros(2, 9, 30)
    y[:, 4:, :] = 20.0  # a gradient of 80: weak
    y[0, 4:, :5] = 60.0  # of 240: strong
    found = canny(y, 50, 150)
    assert found[0, 3:5, :].any(0).all()
    assert not found[1].any()
    assert not canny(y, 80, 150)[0, :, 8:].any()


def test_distances_are_of_the_shortest_ways():
    shares = torch.tensor([0.002, 0.01, 0.1])[:, None, None]
    edges = torch.rand(3, 37, 50, generator=torch.Generator().manual_seed(0)) < shares
    found = distances(edges, 20)
    rows, columns = np.indices((37, 50))
    for image, away in zip(edges.numpy(), found.numpy(), strict=True):
        assert image.any()
        nearest = np.full((37, 50), 20.0)
        for i, j in np.argwhere(image):
            longer, shorter = (f(abs(rows - i), abs(columns - j)) for f in (np.maximum, np.minimum))
            wide = np.where(longer >= 2 * shorter, longer + 0.1969 * shorter, 0.7969 * longer + 0.6031 * shorter)
            nearest = np.minimum(nearest, wide)
        np.testing.assert_allclose(away, nearest, atol=1e-5)


def test_thickness_is_the_floor_of_exact_means():
    edges = torch.rand(20, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.003
    exact = (distances(edges, 20).double() * 10_000).round().long().numpy()
    whole = [correlate(away, np.ones((3, 3), dtype=int), mode="mirror") // 90_000 for away in exact]
    assert (thickness(edges, 20).numpy() == np.stack(whole)).all()


def test_without_edges_all_distances_are_the_most():
    assert (distances(torch.zeros(1, 32, 33, dtype=torch.bool), 20) == 20).all()


def test_histograms_become_flat_by_the_share_of_darker_pixels():
    y = torch.tensor([[[3, 3, 5], [5, 5, 7]], [[4, 4, 4], [4, 4, 4]], [[0, 0, 0], [0, 0, 20]]]).float()
    found = equalised(y, 21).tolist()
    # Of 4 pixels above the lowest level 3 have a 5: round(3/4 of 255).
    assert found[0] == [[0, 0, 191], [191, 191, 255]]
    assert found[1] == [[4] * 3] * 2
    assert found[2] == [[0] * 3, [0, 0, 255]]


def test_boxes_and_embossing_are_correlations():
    y = drops(2, 34, 41)
    mask = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    for image, mean, shape in zip(y.numpy(), box(y).numpy(), embossed(y).numpy(), strict=True):
        np.testing.assert_allclose(mean, correlate(image, np.full((3, 3), 1 / 9), mode="mirror"), atol=1e-4)
        assert (shape == np.clip(correlate(image, mask, mode="mirror"), 0, 255)).all()


@pytest.mark.parametrize("sigma", [0.1, 1, 4])
def test_smoothing_is_that_of_scipy(sigma):
    x = normal(2, 70, 45).double()
    expected = gaussian_filter(x.numpy(), (0, sigma, sigma), mode="nearest")
    np.testing.assert_allclose(smoothed(x, sigma), expected, atol=1e-14)


def test_mud_covers_what_lies_behind():
    x, noise = images(2, 48, 40), normal(2, 48, 40)
    noise[:, 10:30, 10:30] += 3  # so that there is mud without an end in sight
    found = spatter(x, Replay([noise]), *MUD)
    for image, numbers, result in zip(x.numpy(), noise.double().numpy(), found.numpy(), strict=True):
        mud = gaussian_filter(numbers * 0.3 + 0.65, 1, mode="nearest") > 0.65
        cover = gaussian_filter(mud * 1.0, 1.5, mode="nearest")
        cover[cover < 0.8] = 0
        assert (result[:, cover > 1 - 1e-12].T * 255 == BROWN).all()
        assert (cover > 1 - 1e-12).any()
        assert (result[:, cover == 0] == image[:, cover == 0]).all()
        # Cut down to a level below, but for a rounding.
        exact = 255 * image * (1 - cover) + np.array(BROWN)[:, None, None] * cover
        assert (exact - result * 255 > -1e-4).all()
        assert (exact - result * 255 < 1 + 1e-4).all()


def test_water_shines_turquoise_where_drops_are():
    x, noise = torch.full((3, 3, 48, 64), 40 / 255), normal(3, 48, 64)
    light = ((spatter(x, Replay([noise]), *WATER) - x) * 255).round()
    dry = [gaussian_filter(n, 2, mode="nearest") < 0.68 for n in noise.double().numpy() * 0.3 + 0.65]
    assert (light.amax(1)[torch.from_numpy(np.stack(dry))] == 0).all()
    # The brightest pixel of each image gets half of (175, 238, 238).
    assert light.amax((2, 3)).tolist() == [[87, 119, 119]] * 3


def test_water_is_the_depth_times_the_slope_of_its_surface():
    noise = normal(2, 64, 50)
    light = spatter(torch.zeros(2, 3, 64, 50), Replay([noise]), *WATER)[:, 1] * 255
    for numbers, found in zip(noise.double().numpy(), light.numpy(), strict=True):
        layer = gaussian_filter(numbers * 0.3 + 0.65, 2, mode="nearest")
        depth = np.where(layer < 0.68, 0, (layer * 255).astype(np.uint8)).astype(int)
        edges = torch.from_numpy(canny_by_loops(depth, 50, 150))[None]
        away = correlate(distances(edges, 20)[0].double().numpy(), np.full((3, 3), 1 / 9), mode="mirror")
        flat = equalised(torch.from_numpy(np.floor(away + 1e-5))[None].float(), 21)[0].numpy()
        shape = np.clip(correlate(flat, [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], mode="mirror"), 0, 255)
        exact = np.rint(correlate(shape, np.full((3, 3), 1 / 9), mode="mirror")) * depth
        assert np.abs(found - np.floor(exact / exact.max() * 0.5 * 238 + 1e-4)).max() == 0


def test_images_without_drops_stay_as_they_are():
    x = images(2, 32, 32)
    for parameters in (WATER, MUD):
        assert torch.equal(spatter(x, Replay([torch.full((2, 32, 32), -3.0)]), *parameters), x)


def test_an_image_is_spattered_alike_in_any_batch(monkeypatch):
    x, noise = images(5, 32, 36), normal(5, 32, 36)
    for parameters in (WATER, MUD):
        whole = spatter(x, Replay([noise]), *parameters)
        monkeypatch.setattr(parts, "PART", 2 * x[0].numel())
        assert torch.equal(spatter(x, Replay([noise]), *parameters), whole)
        monkeypatch.undo()


def test_each_step_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    for y in drops(8, 90, 64).byte().numpy():
        layer = torch.from_numpy(y)[None].float()
        edges = cv2.Canny(y, 50, 150)
        assert (canny(layer, 50, 150)[0].numpy() == (edges > 0)).all()
        away = np.minimum(cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5), 20)
        np.testing.assert_allclose(distances(torch.from_numpy(edges > 0)[None], 20)[0], away, atol=1e-4)
        inside = cv2.blur(away, (3, 3)).astype(np.uint8)
        flat = cv2.equalizeHist(inside)
        assert (equalised(torch.from_numpy(inside)[None].float(), 21)[0].numpy() == flat).all()
