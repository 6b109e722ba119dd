import numpy as np
import pytest
import torch
from scipy import stats

from rbench.corruptions import noise
from rbench.corruptions.generators import quantised
from rbench.corruptions.randomness import Replay, Stream
from rbench.rng import Draws

LEVELS = torch.arange(256).float().repeat(3, 4, 1).view(1, 3, 32, 32) / 255


def stream(count=1):
    return Stream(Draws(0, "noise", torch.arange(count)))


def drawn():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 32, 32))).float()


def test_gaussian_noise_adds_what_was_drawn():
    found = quantised(noise.gaussian_noise(LEVELS, Replay([drawn()]), 0.26))
    exact = np.uint8(np.clip(LEVELS.double().numpy() + 0.26 * drawn().double().numpy(), 0, 1) * 255)
    assert np.abs(found.numpy().astype(int) - exact).max() <= 1
    assert (found.numpy() != exact).mean() < 1e-3


def test_speckle_noise_grows_with_the_light():
    found = noise.speckle_noise(LEVELS, Replay([drawn()]), 0.6).double()
    assert (found - LEVELS * (1 + 0.6 * drawn())).abs().max() < 1e-6
    assert not found[LEVELS == 0].any()


def test_shot_noise_divides_the_counts():
    counts = torch.randint(0, 70, (1, 3, 32, 32)).float()
    found = quantised(noise.shot_noise(LEVELS, Replay([counts]), 60))
    assert torch.equal(found, (counts.long() * 255 // 60).clamp(max=255).byte())


def test_shot_noise_keeps_the_mean_and_has_poisson_variance():
    x = torch.full((4, 3, 64, 64), 90 / 255)
    found = noise.shot_noise(x, stream(4), 25)
    assert abs(float(found.mean()) - 90 / 255) < 4 * (90 / 255 / 25 / found.numel()) ** 0.5
    assert float(found.var()) == pytest.approx(90 / 255 / 25, rel=0.03)


@pytest.mark.parametrize("amount", [0.01, 0.27])
def test_salt_and_pepper_are_equally_frequent_and_independent_of_channels(amount):
    x = torch.full((4, 3, 96, 96), 100 / 255)
    found = noise.impulse_noise(x, stream(4), amount)
    salt, pepper = (found == 1), (found == 0)
    assert torch.equal(found[~salt & ~pepper], x[~salt & ~pepper])
    for kind in (salt, pepper):
        assert stats.binomtest(int(kind.sum()), kind.numel(), amount / 2).pvalue > 1e-3
    red, green = ((salt | pepper)[:, channel].double().flatten() for channel in (0, 1))
    assert abs(float(torch.corrcoef(torch.stack([red, green]))[0, 1])) < 4 / len(red) ** 0.5


def test_one_number_settles_salt_pepper_or_neither():
    u = torch.tensor([0.0, 0.0499, 0.0501, 0.0999, 0.1001, 0.999]).expand(1, 3, 2, 6)
    found = noise.impulse_noise(torch.full((1, 3, 2, 6), 0.4), Replay([u]), 0.1)
    assert torch.equal(found[0, 1, 1], torch.tensor([1, 1, 0, 0, 0.4, 0.4]))
