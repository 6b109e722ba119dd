import numpy as np
import pytest
import torch

from rbench.corruptions.corrupt import corrupt, stream
from rbench.corruptions.fog import covering, fog, fog_variant, plasma
from rbench.corruptions.randomness import Replay


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def literal(size, decay, bumps):
    """Diamond-square on a torus, point by point, as Fournier, Fussell and Carpenter describe it."""
    a, step, wibble = np.zeros((size, size)), size, 100.0
    bumps = iter(bumps)
    while step >= 2:
        half, places = step // 2, range(0, size, step)
        for down, right in ((half, half), (0, half), (half, 0)):
            bump = next(bumps)
            diagonal = down == right
            for i, y in enumerate(places):
                for j, x in enumerate(places):
                    v, u = y + down, x + right
                    around = ((-half, -half), (-half, half), (half, -half), (half, half))
                    if not diagonal:
                        around = ((-half, 0), (half, 0), (0, -half), (0, half))
                    mean = sum(a[(v + s) % size, (u + t) % size] for s, t in around) / 4
                    a[v, u] = mean + wibble * bump[i, j]
        step, wibble = half, wibble / decay
    return (a - a.min()) / (a.max() - a.min())


def bumps_of(rng, size, decay, count):
    """Numbers for every request of a plasma, each [count, n, n]."""
    answers, n, wibble = [], 1, 100.0
    while n < size:
        answers += [rng.uniform(-wibble, wibble, (count, n, n)) for _ in range(3)]
        n, wibble = 2 * n, wibble / decay
    return answers


@pytest.mark.parametrize(("size", "decay"), [(2, 2.0), (8, 1.4), (32, 3.0)])
def test_plasma_is_diamond_square_point_by_point(rng, size, decay):
    bumps = bumps_of(rng, size, decay, count=2)
    found = plasma(2, size, decay, Replay(map(torch.from_numpy, bumps)))
    for k in range(2):
        np.testing.assert_allclose(found[k], literal(size, decay, [b[k] for b in bumps]), atol=1e-12)


def random_images(rng, *shape):
    return torch.from_numpy(rng.integers(0, 256, shape)).float() / 255


def test_fog_is_the_map_added_and_scaled_back(rng):
    x = random_images(rng, 2, 3, 32, 24) * 0.7
    bumps = bumps_of(rng, 32, 2.0, count=2)
    found = fog(x, Replay(map(torch.from_numpy, bumps)), 1.5, 2.0, 32)
    for k in range(2):
        most = float(x[k].max())
        expected = (x[k].numpy() + 1.5 * literal(32, 2.0, [b[k] for b in bumps])[:, :24]) * most / (most + 1.5)
        np.testing.assert_allclose(found[k], expected, atol=1e-6)


def test_plasma_reaches_from_0_to_1():
    clouds = plasma(3, 64, 2.0, stream(0, "fog", 1, torch.arange(3)))
    assert clouds.amin((1, 2)).tolist() == [0, 0, 0]
    assert clouds.amax((1, 2)).tolist() == [1, 1, 1]


def test_larger_decays_make_smoother_clouds():
    steps = [
        plasma(4, 64, decay, stream(0, "fog", 1, torch.arange(4))).diff(dim=2).abs().mean() for decay in (1.4, 2.0, 3.0)
    ]
    assert steps == sorted(steps, reverse=True)


def test_the_variant_takes_the_map_that_covers_the_image(rng):
    x = random_images(rng, 1, 3, 40, 33)
    bumps = bumps_of(rng, 64, 2.0, count=1)
    found = fog_variant(x, Replay(map(torch.from_numpy, bumps)), 1.5, 2.0, 256)
    assert torch.equal(found, fog(x, Replay(map(torch.from_numpy, bumps)), 1.5, 2.0, 64))


def test_images_larger_than_the_map_get_a_larger_one(rng):
    x = random_images(rng, 1, 3, 32, 40)
    bumps = bumps_of(rng, 64, 2.0, count=1)
    found = fog(x, Replay(map(torch.from_numpy, bumps)), 1.5, 2.0, 32)
    assert torch.equal(found, fog(x, Replay(map(torch.from_numpy, bumps)), 1.5, 2.0, 64))


@pytest.mark.parametrize(("side", "expected"), [(32, 32), (33, 64), (224, 256), (256, 256), (257, 512)])
def test_covering_powers_of_two(side, expected):
    assert covering(side, 20) == covering(20, side) == expected


def test_black_images_stay_black_and_are_no_nan():
    x = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert not corrupt(x, "fog", severity=5).any()


def test_an_image_has_the_same_fog_in_any_batch():
    x = torch.full((3, 3, 32, 32), 90, dtype=torch.uint8)
    together = corrupt(x, "fog", severity=3, seed=4)
    assert torch.equal(corrupt(x[1:2], "fog", severity=3, seed=4, samples=[1]), together[1:2])
    assert not torch.equal(together[0], together[1])
