"""Momentum against the algorithm written out in NumPy, and across places where the gradient vanishes or explodes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.attacks.mifgsm import mifgsm
from rbench.attacks.pgd import pgd
from rbench.rng import Draws
from rbench.types import Threat

SHAPE, D = (1, 3, 4), 12


class Bowl(torch.nn.Module):
    """Logits [50, -sum a (x - c)^2]: class 1 never wins, and the direction of every gradient is a (c - x)."""

    def __init__(self, a, c):
        super().__init__()
        self.a, self.c = a, c

    def forward(self, x):
        bowl = -(self.a * (x.flatten(1) - self.c).square()).sum(1)
        return torch.stack([torch.full_like(bowl, 50), bowl], dim=1)


class Slab(torch.nn.Module):
    """Class 1 wins where the mean s of all pixels exceeds 0.65; from 0.53 to 0.58 nothing depends on s."""

    def forward(self, x):
        s = x.flatten(1).mean(1)
        rise = s - torch.relu(s - 0.53) + torch.relu(s - 0.58) - 0.6
        return torch.stack([torch.zeros_like(s), 10 * rise], dim=1)


class Roots(torch.nn.Module):
    """Class 1 wins where the mean of sqrt(x) exceeds 0.7; at a pixel of 0 the slope is infinite."""

    def forward(self, x):
        s = x.flatten(1).sqrt().mean(1)
        return torch.stack([torch.zeros_like(s), s - 0.7], dim=1)


def by_hand(a, c, x, *, norm, eps, step, decay, steps):
    """Dong et al.'s algorithm 1 for one image inside the box; the iterate of the highest bowl."""
    point, g, seen = x.copy(), np.zeros_like(x), [x.copy()]
    for _ in range(steps):
        grad = 2 * a * (c - point)
        g = decay * g + grad / np.abs(grad).sum()
        point = point + step * (np.sign(g) if norm == "linf" else g / np.sqrt((g**2).sum()))
        delta = point - x
        length = np.sqrt((delta**2).sum())
        delta = np.clip(delta, -eps, eps) if norm == "linf" else delta * min(1, eps / length)
        point = np.clip(x + delta, 0, 1)
        seen.append(point)
    return max(seen, key=lambda p: -(a * (p - c) ** 2).sum())


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["linf", "l2"]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(["1/10", "3/10"]),
)
def test_the_iterates_are_those_of_the_algorithm_by_hand(seed, norm, decay, eps):
    random = np.random.default_rng(seed)
    a, c, x = random.uniform(0.1, 1, D), random.uniform(0, 1, D), random.uniform(0, 1, (5, D))
    model = Bowl(torch.from_numpy(a), torch.from_numpy(c))
    images, threat = torch.from_numpy(x).view(5, *SHAPE), Threat(norm, eps)
    draws = Draws(0, "t", torch.arange(5))
    got = mifgsm(model, images, torch.zeros(5, dtype=torch.int64), threat, rng=draws, steps=7, decay=decay)
    how = {"norm": norm, "eps": threat.radius, "step": threat.radius / 4, "decay": decay, "steps": 7}
    expected = np.stack([by_hand(a, c, one, **how) for one in x])
    assert np.allclose(got.flatten(1).numpy(), expected, atol=1e-9)


def test_without_decay_it_is_pgd_without_a_start(small_net):
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model = small_net.double().requires_grad_(False)
    y, draws = model(x).argmax(1), Draws(0, "t", torch.arange(8))
    for threat in (Threat("linf", "1/255"), Threat("l2", "1/10")):
        ours = mifgsm(model, x, y, threat, rng=draws, steps=6, step="1/500", decay=0.0)
        assert torch.allclose(ours, pgd(model, x, y, threat, rng=draws, steps=6, step="1/500", start=False), atol=1e-9)


@pytest.mark.parametrize("threat", [Threat("linf", "2/5"), Threat("l2", "7/5")], ids=lambda threat: threat.norm)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_momentum_carries_an_image_across_a_flat_slab(threat, dtype):
    x, y, draws = torch.full((2, *SHAPE), 0.5, dtype=dtype), torch.zeros(2, dtype=torch.int64), Draws(0, "t", None)
    x[1] += 0.01
    with_momentum = mifgsm(Slab(), x, y, threat, rng=draws, rel_step="1/16")
    assert (Slab()(with_momentum).argmax(1) == 1).all()
    # The slab is a trap indeed: who forgets the last gradient stays in it.
    assert (Slab()(mifgsm(Slab(), x, y, threat, rng=draws, rel_step="1/16", decay=0.0)).argmax(1) == 0).all()


@pytest.mark.parametrize("threat", [Threat("linf", "1/4"), Threat("l2", "1")], ids=lambda threat: threat.norm)
def test_an_infinite_slope_at_one_pixel_stops_no_other(threat):
    x = torch.full((1, *SHAPE), 0.4)
    x[0, 0, 0, 0] = 0
    x_adv = mifgsm(Roots(), x, torch.zeros(1, dtype=torch.int64), threat, rng=Draws(0, "t", None))
    assert torch.isfinite(x_adv).all()
    assert Roots()(x_adv).argmax(1) == 1


def test_gradients_of_any_scale_weigh_the_same():
    class Scaled(torch.nn.Module):
        """The bowl's margin times a scale, up to where squares overflow and down to where they vanish."""

        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return self.scale * Bowl(torch.linspace(0.1, 1, D), torch.linspace(0.2, 0.8, D))(x)

    x, y = torch.full((1, *SHAPE), 0.4, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    results = [
        mifgsm(Scaled(scale), x, y, Threat(norm, "1/10"), rng=Draws(0, "t", None), loss="margin")
        for norm in ("linf", "l2")
        for scale in (1.0, 1e-170, 1e170)
    ]
    for one in (1, 2):
        assert torch.allclose(results[0], results[one], atol=1e-9)
        assert torch.allclose(results[3], results[3 + one], atol=1e-9)
    assert not torch.equal(results[0], x)
