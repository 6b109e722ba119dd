import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling, Transform

from rbench.corruptions import geometric
from rbench.corruptions.sequence_tables import SWEEPS

WHOLE = {32: (32, 32), 64: (64, 64), 224: (256, 300)}


def pictures(height, width, count=1, seed=0):
    """Smooth images with some edges, uint8 [count, 3, height, width]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 3, -(-height // 8), -(-width // 8)))
    rows, columns = np.indices((height, width))
    fine = coarse[..., rows // 8, columns // 8] // 2 + (rows * 3 + columns * 5) % 128
    return torch.from_numpy(fine.astype(np.uint8))


def window_of(array, window):
    top, left = round((array.shape[0] - window[0]) / 2), round((array.shape[1] - window[1]) / 2)
    return array[top : top + window[0], left : left + window[1]]


def by_pillow(x, window, turn, resample=Resampling.BILINEAR, move=(0.0, 0.0)):
    """The forward matrix, inverted by NumPy, given to Pillow as torchvision 0.2 did, but for floats, [h, w, 3]."""
    height, width = x.shape[1:]
    there = np.array([[1, 0, width / 2 + 0.5], [0, 1, height / 2 + 0.5], [0, 0, 1]])
    inner, shift = np.eye(3), np.eye(3)
    inner[:2, :2], shift[:2, 2] = turn, move
    back = tuple(np.linalg.inv(shift @ there @ inner @ np.linalg.inv(there))[:2].ravel())
    bands = [Image.fromarray(band.astype(np.float32)) for band in x.numpy()]
    moved = [np.array(band.transform(band.size, Transform.AFFINE, back, resample)) for band in bands]
    return window_of(np.stack(moved, -1), window)


TURNS = {
    "rotate": lambda v: [
        [np.cos(np.radians(v)), -np.sin(np.radians(v))],
        [np.sin(np.radians(v)), np.cos(np.radians(v))],
    ],
    "scale": lambda v: np.eye(2) * v,
    "shear": lambda v: [[1, -np.sin(np.radians(v))], [0, np.cos(np.radians(v))]],
}


@pytest.mark.parametrize("size", sorted(WHOLE))
@pytest.mark.parametrize("name", sorted(TURNS))
def test_affine_frames_are_those_of_pillow_cut_to_bytes(name, size):
    x, values = pictures(*WHOLE[size]), SWEEPS[size][name].values
    found = getattr(geometric, name)(x, (size, size), values)[0].permute(0, 2, 3, 1).numpy().astype(int)
    expected = np.stack([by_pillow(x[0], (size, size), TURNS[name](value)) for value in values])
    # For bytes Pillow cuts sums that miss a whole number by their last bit to the next one below; rbench does not.
    away = np.abs(found - np.floor(expected + 1e-4))
    assert found.shape == expected.shape
    assert away.max() <= 1
    assert (away > 0).mean() < 1e-4


@pytest.mark.parametrize("size", sorted(WHOLE))
def test_translated_frames_are_those_of_pillow_and_rolls_with_a_black_border(size):
    x, values = pictures(*WHOLE[size]), SWEEPS[size]["translate"].values
    found = geometric.translate(x, (size, size), values)[0].permute(0, 2, 3, 1).numpy()
    for frame, value in zip(found, values, strict=True):
        assert np.array_equal(frame, by_pillow(x[0], (size, size), np.eye(2), Resampling.NEAREST, (value, 0)))
    small = pictures(32, 32)
    right, left = geometric.translate(small, (32, 32), [5, -3])[0]
    assert torch.equal(right, torch.roll(small[0], 5, -1) * (torch.arange(32) >= 5))
    assert torch.equal(left, torch.roll(small[0], -3, -1) * (torch.arange(32) < 29))


def by_opencv_4(x, window, degrees):
    """Legacy warpPerspective in words of NumPy: coordinates in whole 1/32 pixels, weights in 1/1024, half up."""
    height, width = x.shape[:2]
    a, away = np.radians(degrees), np.hypot(height, width)
    flat = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1], [0, 0, 1]])
    across, upright, back = np.eye(4), np.eye(4), np.eye(4)
    across[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    upright[0, 0], upright[0, 2], upright[2, 0], upright[2, 2] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
    back[2, 3] = away
    camera = np.array([[away, 0, width / 2, 0], [0, away, height / 2, 0], [0, 0, 1, 0]])
    inverse = np.linalg.inv(camera @ back @ across @ upright @ flat)
    rows, columns = np.indices((height, width))
    right, down, depth = np.einsum("ij,jhw->ihw", inverse, np.stack([columns, rows, np.ones_like(rows)]))
    right, down = np.rint(right * 32 / depth).astype(int), np.rint(down * 32 / depth).astype(int)
    framed = np.zeros((height + 2, width + 2, 3), dtype=int)
    framed[1:-1, 1:-1] = x
    total = np.zeros(x.shape, dtype=int)
    for down_by, right_by in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(32 * (1 - down_by) - down % 32) * np.abs(32 * (1 - right_by) - right % 32)
        row, column = (down // 32 + down_by + 1).clip(0, height + 1), (right // 32 + right_by + 1).clip(0, width + 1)
        total += weight[..., None] * framed[row, column]
    return window_of((total + 512) >> 10, window)


@pytest.mark.parametrize("size", sorted(WHOLE))
def test_tilted_frames_are_those_of_the_authors_opencv_to_the_bit(size):
    x, values = pictures(*WHOLE[size]), SWEEPS[size]["tilt"].values[::5]
    found = geometric.tilt(x, (size, size), values)[0].permute(0, 2, 3, 1).numpy()
    source = x[0].permute(1, 2, 0).numpy()
    assert np.array_equal(found, np.stack([by_opencv_4(source, (size, size), value) for value in values]))


def test_tilted_frames_are_near_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    x = pictures(64, 64)
    away = np.hypot(64, 64)
    for degrees in (-15, 4, 11):
        view = geometric._view(64, 64, np.radians(degrees))
        expected = cv2.warpPerspective(x[0].permute(1, 2, 0).numpy(), view, (64, 64)).astype(int)
        found = geometric.tilt(x, (64, 64), [degrees])[0, 0].permute(1, 2, 0).numpy()
        # OpenCV 5 samples at the exact place, 1/64 pixel away at most: 255/64 levels an axis.
        assert np.abs(found - expected).max() <= 8
        assert np.abs(found - expected).mean() < 0.5
    corner = geometric._view(64, 64, 0.0) @ [64, 0, 1]
    assert corner[:2] / corner[2] == pytest.approx([32 + 32 * away / (1 + away), 32 - 32 * away / (1 + away)])


@pytest.mark.parametrize(
    ("name", "still"), [("rotate", 0), ("scale", 1), ("shear", 0), ("translate", 0), ("zoom_blur", 1)]
)
def test_a_frame_that_does_not_move_is_the_image(name, still):
    x = pictures(40, 50, 2)
    assert torch.equal(getattr(geometric, name)(x, (32, 36), [still])[:, 0], x[..., 4:36, 7:43])


def test_a_quarter_turn_is_clockwise_about_the_authors_centre():
    x = pictures(32, 32)
    turned = torch.zeros_like(x)
    turned[..., :, 1:] = torch.rot90(x, -1, (-2, -1))[
        ..., :, :-1
    ]  # half a pixel off in both axes makes one to the right
    assert torch.equal(geometric.rotate(x, (32, 32), [90])[:, 0], turned)


def test_half_the_size_leaves_a_black_frame_and_keeps_a_constant():
    x = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    small = geometric.scale(x, (32, 32), [0.5])[0, 0]
    assert set(small.unique().tolist()) == {0, 77}
    assert (small[0] == 77).sum() == 16 * 16


def test_zoom_blur_is_the_running_mean_of_enlarged_images():
    x, factors = pictures(64, 64, 2), SWEEPS[64]["zoom_blur"].values
    large = geometric.scale(x, (64, 64), factors).int()
    blurred = geometric.zoom_blur(x, (64, 64), factors)
    assert torch.equal(blurred[:, 0], x)
    for i in (1, 7, 30):
        assert torch.equal(blurred[:, i], large[:, : i + 1].double().mean(1).add(1e-9).floor().to(torch.uint8))


@pytest.mark.parametrize("name", ["translate", "rotate", "tilt", "scale", "shear", "zoom_blur"])
def test_images_of_a_batch_do_not_see_each_other(name):
    x, values = pictures(40, 48, 3), SWEEPS[32][name].values[::6]
    function = getattr(geometric, name)
    whole = function(x, (32, 32), values)
    assert (whole.shape, whole.dtype) == ((3, len(values), 3, 32, 32), torch.uint8)
    assert torch.equal(whole[2:], function(x[2:], (32, 32), values))
