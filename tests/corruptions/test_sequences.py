import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from rbench.corruptions import sequence_tables as tables
from rbench.corruptions.randomness import Replay
from rbench.corruptions.sequences import check_difficulty, dripped, sequence, stream
from rbench.errors import UsageError

SHORT = {  # those that do not have 31 frames
    32: {"motion_blur": 21, "translate": 16},
    64: {},
    224: {"translate": 41},
    299: {"translate": 41},
}
CLEAN_AT = {  # the frame that is the image itself, at 32 pixels; the tilted image lies a little behind the screen
    "gaussian_noise": 0, "shot_noise": 0, "speckle_noise": 0, "zoom_blur": 0,
    "translate": 7, "rotate": 15, "scale": 15, "shear": 15,
}  # fmt: skip


def pictures(count=2, size=32, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8))
    fine = np.kron(coarse, np.ones((-(-size // 8), -(-size // 8)), dtype=int))[..., :size, :size]
    return torch.from_numpy(fine.astype(np.uint8))


def made(x, perturbation, samples=None, seed=0, difficulty=1, table=None):
    numbers = torch.arange(len(x)) if samples is None else torch.tensor(samples)
    rng = stream(seed, perturbation, difficulty, numbers)
    return sequence(x, perturbation, rng, difficulty=difficulty, table=table)


def nothing():
    return Replay([])


def test_ten_perturbations_are_scored_and_four_are_for_validation():
    assert (len(tables.SCORED), len(tables.VALIDATION)) == (10, 4)
    assert len(set(tables.PERTURBATIONS)) == 14
    assert [name for name in tables.PERTURBATIONS if "noise" in name] == list(tables.AGAINST_FIRST)


@pytest.mark.parametrize("size", sorted(SHORT))
def test_the_number_of_frames(size):
    found = {name: tables.frames(name, size) for name in tables.PERTURBATIONS}
    assert found == {**dict.fromkeys(tables.PERTURBATIONS, 31), **SHORT[size]}


def test_what_changes_from_frame_to_frame():
    scale = tables.sweep("scale", 224).values
    assert (scale[0], scale[1], scale[24], scale[-1]) == (0.4, 0.425, 1.0, 1.15)
    assert tables.sweep("brightness", 32).values[::15] == (-0.225, 0.0, 0.225)
    assert tables.sweep("motion_blur", 32).values[::10] == (-180, -90, 0)
    assert tables.sweep("gaussian_blur", 64).values[-1] == pytest.approx(0.77)
    assert tables.sweep("translate", 299).values[::20] == (-20, 0, 20)
    assert tables.sweep("shot_noise", 299).levels == (250, 100, 50)


@pytest.mark.parametrize("name", tables.PERTURBATIONS)
def test_sequences_have_their_frames_and_the_image_itself_where_nothing_is_done(name):
    x = pictures()
    found = made(x, name)
    assert (found.shape, found.dtype) == ((2, tables.frames(name, 32), 3, 32, 32), torch.uint8)
    same = [frame for frame in range(found.shape[1]) if torch.equal(found[:, frame], x)]
    assert same == ([CLEAN_AT[name]] if name in CLEAN_AT else [])


@pytest.mark.parametrize("name", tables.PERTURBATIONS)
def test_a_sequence_depends_on_its_image_and_number_alone(name):
    x = pictures(3)
    whole = made(x, name, samples=[5, 6, 7])
    assert torch.equal(whole, made(x, name, samples=[5, 6, 7]))
    assert torch.equal(whole[1:2], made(x[1:2], name, samples=[6]))
    assert torch.equal(whole.flip(0), made(x.flip(0), name, samples=[7, 6, 5]))


@pytest.mark.parametrize("name", [*tables.AGAINST_FIRST, "snow", "spatter"])
def test_random_sequences_differ_with_the_seed_and_the_number(name):
    x = pictures(1)
    first = made(x, name)
    assert not torch.equal(first, made(x, name, seed=1))
    assert not torch.equal(first, made(x, name, samples=[1]))


@pytest.mark.parametrize("name", tables.AGAINST_FIRST)
def test_frames_of_noise_are_drawn_anew_and_grow_with_the_difficulty(name):
    x = pictures(2)
    spread = []
    for difficulty in (1, 2, 3):
        found = made(x, name, difficulty=difficulty).double()
        assert (found[:, 1:-1] != found[:, 2:]).any(-1).any(-1).all()
        spread.append(float((found[:, 1:] - found[:, :1]).std()))
    assert spread[0] < spread[1] < spread[2]


def test_noise_is_what_was_injected():
    x = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    draws = [torch.full((1, 3, 32, 32), 0.1 * i) for i in range(30)]
    found = sequence(x, "gaussian_noise", Replay(draws), difficulty=3)
    expected = [100, *(int(100 + 255 * 0.06 * 0.1 * i + 1e-4) for i in range(30))]
    assert found.amax((0, 2, 3, 4)).tolist() == found.amin((0, 2, 3, 4)).tolist() == expected
    found = sequence(x, "speckle_noise", Replay(draws), difficulty=2)
    assert found[0, :, 0, 0, 0].tolist() == [100, *(int(100 + 100 * 0.07 * 0.1 * i + 1e-4) for i in range(30))]
    found = sequence(x, "shot_noise", Replay([draw * 0 + 90 + i for i, draw in enumerate(draws)]), difficulty=3)
    assert found[0, :, 0, 0, 0].tolist() == [100, *(int((90 + i) / 200 * 255 + 1e-4) for i in range(30))]


@pytest.mark.parametrize(("size", "percent"), [(32, 1.5), (64, 2.0)])
def test_brightness_is_a_ramp_that_is_clipped(size, percent):
    grey = np.arange(size * size).reshape(1, 1, size, size) % 256
    x = torch.from_numpy(grey.astype(np.uint8)).expand(-1, 3, -1, -1)
    found = sequence(x, "brightness", nothing()).numpy().astype(int)
    assert np.array_equal(found[:, 15], x.numpy())
    for i in (0, 4, 22, 30):
        exact = np.clip(grey[0] + 2.55 * percent * (i - 15), 0, 255)
        assert np.abs(found[0, i] - exact + 0.5).max() <= 0.5 + 1e-6
    coloured = pictures()
    assert (sequence(coloured, "brightness", nothing())[:, 15].int() - coloured.int()).abs().max() <= 1


@pytest.mark.parametrize(("size", "start", "step", "truncate"), [(32, 0.3, 0.015, 7), (64, 0.35, 0.014, 7)])
def test_gaussian_blur_is_that_of_scipy(size, start, step, truncate):
    x = pictures(1, size)
    found = sequence(x, "gaussian_blur", nothing())
    for i in (0, 13, 30):
        sigma = (0, 0, start + step * i, start + step * i)
        exact = gaussian_filter(x.double().numpy(), sigma, truncate=truncate, mode="nearest")
        away = np.abs(found[:, i].numpy() - np.floor(exact + 1e-4))
        assert away.max() <= 1
        assert away.mean() < 0.01


def test_motion_blur_turns_from_the_left_over_the_bottom_to_the_right():
    x = pictures(1)
    found = sequence(x, "motion_blur", nothing())[0].double()
    weights = np.exp(-(np.arange(13) ** 2) / (2 * 1.8**2))
    weights /= weights.sum()
    for frame, (down, right) in {0: (0, -1), 10: (-1, 0), 20: (0, 1)}.items():
        rows, columns = np.indices((32, 32))
        parts = [
            w * x[0].double()[:, (rows + i * down).clip(0, 31), (columns + i * right).clip(0, 31)]
            for i, w in enumerate(weights)
        ]
        assert (found[frame] - torch.stack(parts).sum(0)).abs().max() <= 0.5001


def test_snow_falls_straight_down_in_the_middle_of_the_sequence():
    x, draws = pictures(1), torch.from_numpy(np.random.default_rng(1).standard_normal((1, 32, 32)))
    found = sequence(x, "snow", Replay([draws.float()]))[0].numpy()
    flakes = zoom(draws[0, 8:24, 8:24].numpy() * 0.3 + 0.05, 2, order=1)
    flakes = np.floor(np.where(flakes < 0.5, 0, flakes).clip(0, 1) * 255)
    weights = np.exp(-(np.arange(21) ** 2) / (2 * 2**2))
    blurred = sum(w * flakes[(np.arange(32) - i).clip(0)] for i, w in enumerate(weights / weights.sum()))
    layer = np.rint(blurred) / 255
    image = x[0].double().numpy() / 255
    grey = np.tensordot([0.299, 0.587, 0.114], image, 1)
    ground = 0.85 * image + 0.15 * np.maximum(image, grey * 1.5 + 0.5)
    expected = np.floor(255 * (ground + layer + np.rot90(layer, 2)).clip(0, 1) + 1e-4)
    away = np.abs(found[15] - expected)
    assert away.max() <= 1
    assert away.mean() < 1e-3
    assert len(np.unique(found.reshape(31, -1), axis=0)) > 25  # angles 4 degrees apart may have the same pixels


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_layer_drips_like_a_convolution_of_its_columns(count, width, seed):
    rng = np.random.default_rng(seed)
    weights, layer = rng.random(count), rng.random((8, width))
    expected = np.stack([np.convolve(column, weights, "same") for column in layer.T], 1)
    found = dripped(torch.from_numpy(layer)[None], tuple(weights.tolist()))[0]
    assert np.allclose(found, expected, atol=1e-12)


def test_spatter_runs_down_until_it_is_gone():
    x = torch.full((1, 3, 32, 32), 60, dtype=torch.uint8)
    drop = torch.full((1, 32, 32), -5.0)
    drop[0, 3:9, 8:24] = 5
    found = sequence(x, "spatter", Replay([drop]))[0].double() - 60
    rows = torch.arange(32.0)
    wet = found.amax(1)
    centres = [float((rows * frame.sum(1)).sum() / frame.sum()) for frame in wet[:12:4]]
    assert (found >= 0).all()
    assert np.diff(centres).min() > 2
    assert ((found.amax((0, 2, 3)) - 0.6 * torch.tensor([175, 238, 238])).abs() <= 1).all()


@pytest.mark.parametrize("size", [32, 224])
def test_spatter_is_that_of_opencv(size):
    cv2 = pytest.importorskip("cv2")
    loc, scale, sigma, threshold, strength, *weights = tables.sweep("spatter", size).constants
    draws = np.random.default_rng(2).standard_normal((1, size, size))
    x = pictures(1, size)
    found = sequence(x, "spatter", Replay([torch.from_numpy(draws)]))[0].permute(0, 2, 3, 1).numpy()
    image = x[0].permute(1, 2, 0).numpy() / 255
    layer = gaussian_filter(draws[0] * scale + loc, sigma, mode="nearest")
    layer[layer < threshold] = 0
    for i in range(31):
        depth = (layer * 255).astype(np.uint8)
        far = np.minimum(cv2.distanceTransform(255 - cv2.Canny(depth, 50, 150), cv2.DIST_L2, 5), 20)
        even = cv2.equalizeHist(cv2.blur(far, (3, 3)).astype(np.uint8))
        emboss = cv2.filter2D(even, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
        light = depth * cv2.blur(emboss, (3, 3)).astype(np.float32)
        light *= strength / max(light.max(), 1)
        shown = np.floor(255 * (image + light[..., None] * np.array([175, 238, 238]) / 255).clip(0, 1) + 1e-4)
        away = np.abs(found[i] - shown)
        assert (away > 1).mean() < 1e-3
        layer = np.stack([np.convolve(column, weights, "same") for column in layer.T], 1)


@pytest.mark.parametrize("name", ["gaussian_blur", "brightness", "motion_blur"])
def test_images_are_cropped_before_what_is_done_to_pixels(name):
    x = pictures(1, 48)
    assert torch.equal(made(x, name, table=32), made(x[..., 8:40, 8:40], name))


@pytest.mark.parametrize(("name", "frame"), [("translate", 15), ("rotate", 30), ("scale", 10), ("shear", 30)])
def test_images_are_cropped_after_they_have_moved(name, frame):
    x = torch.full((1, 3, 64, 48), 200, dtype=torch.uint8)
    large = made(x, name, table=32)[0, frame]
    assert large.shape == (3, 32, 32)
    assert (large == 200).all()  # the black beyond the edge stays outside
    assert (made(x[..., 16:48, 8:40], name)[0, frame] == 0).any()


def test_a_table_for_larger_images_keeps_the_size():
    found = made(pictures(1, 40), "translate", table=224)
    assert found.shape == (1, 41, 3, 40, 40)


def test_what_there_is_not_is_refused():
    x = pictures(1)
    with pytest.raises(UsageError, match="Did you mean 'tilt'"):
        sequence(x, "tillt", nothing())
    with pytest.raises(UsageError, match="compare frames 2 apart"):
        sequence(x, "tilt", nothing(), difficulty=2)
    with pytest.raises(UsageError, match="must be 1, 2 or 3"):
        check_difficulty("gaussian_noise", 4)
    with pytest.raises(UsageError, match="name one of 32, 64, 224, 299 as the table"):
        sequence(pictures(1, 48), "tilt", nothing())
    with pytest.raises(UsageError, match="too small"):
        sequence(x[..., :20], "tilt", nothing(), table=32)
