"""On a linear model of two classes the best perturbation is known exactly, box and all."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.attacks.fgsm import fgsm
from rbench.attacks.pgd import pgd
from rbench.models.linear import linear
from rbench.rng import Draws
from rbench.types import Threat

SHAPE = (3, 4, 4)
N = 64


def problem(seed, spread=1.0):
    """A linear model, images and the labels that the model itself gives them."""
    generator = torch.Generator().manual_seed(seed)
    model = linear(48, 2).double().requires_grad_(False)
    model.classifier.weight.copy_(torch.randn(2, 48, generator=generator))
    x = 0.5 + spread * (torch.rand(N, *SHAPE, generator=generator, dtype=torch.float64) - 0.5)
    difference = model.classifier.weight[0] - model.classifier.weight[1]
    model.classifier.bias.copy_(torch.stack([-(x.flatten(1) @ difference).median(), torch.tensor(0.0)]))
    return model, x, model(x).argmax(1), difference


def margins(model, x, y):
    logits = model(x)
    return logits[torch.arange(len(y)), y] - logits[torch.arange(len(y)), 1 - y]


def best_linf(x, y, difference, eps):
    """The least margin's point: every pixel to the end of its own interval."""
    sign = torch.where(y == 0, 1.0, -1.0)[:, None] * difference.sign()
    return torch.clamp(x.flatten(1) - eps * sign, 0, 1).view(x.shape)


def standing(margin, exact):
    """What an attack that stops at success must reach: the closed form where nothing can fool, else below zero."""
    return torch.where(exact < 0, (margin < 0) * exact, margin)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["1/255", "8/255", "1/4"]))
def test_fgsm_and_pgd_reach_the_closed_form_for_linf(seed, eps):
    model, x, y, difference = problem(seed)
    threat, draws = Threat("linf", eps), Draws(seed, "test", torch.arange(N))
    exact = margins(model, best_linf(x, y, difference, threat.radius), y)
    for x_adv in (fgsm(model, x, y, threat, rng=draws), pgd(model, x, y, threat, rng=draws)):
        assert torch.allclose(standing(margins(model, x_adv, y), exact), exact, atol=1e-9)
        assert torch.equal(model(x_adv).argmax(1) != y, exact < 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["1/100", "1/10", "1/5"]))
def test_fgsm_and_pgd_reach_the_closed_form_for_l2(seed, eps):
    model, x, y, difference = problem(seed, spread=0.2)  # far from the box, where margin = m - eps ||w||
    threat, draws = Threat("l2", eps), Draws(seed, "test", torch.arange(N))
    exact = margins(model, x, y) - threat.radius * difference.norm()
    assert torch.allclose(margins(model, fgsm(model, x, y, threat, rng=draws), y), exact, atol=1e-9)
    found = standing(margins(model, pgd(model, x, y, threat, rng=draws), y), exact)
    slack = 0.01 * threat.radius * difference.norm()  # the random start is forgotten geometrically, not at once
    assert (found >= exact - 1e-9).all()
    assert (found <= exact + slack).all()


def test_pgd_returns_the_best_iterate_of_all_restarts():
    model, x, y, _ = problem(3)
    threat, draws = Threat("linf", "8/255"), Draws(0, "test", torch.arange(N))
    # With no steps at all a restart is one random point: more of them can only help.
    least = [margins(model, pgd(model, x, y, threat, rng=draws, steps=0, restarts=k), y) for k in (1, 4)]
    assert (least[1] <= least[0]).all()
    assert (least[1] < least[0]).any()


def test_an_overshooting_pgd_keeps_what_it_found_on_the_way():
    class Bump(torch.nn.Module):
        """Class 1 only in a thin shell around distance 0.1 of 0.5; big steps jump across it."""

        def forward(self, x):
            away = (x.flatten(1) - 0.5).abs().mean(1)
            return torch.stack([((away - 0.1) / 0.03) ** 2, torch.ones_like(away)], dim=1)

    x = torch.full((8, *SHAPE), 0.5)
    y = torch.zeros(8, dtype=torch.int64)
    model = Bump()
    threat, draws = Threat("linf", "0.4"), Draws(0, "t", torch.arange(8))
    # From distance 0.01 in steps of 0.05: 0.06, 0.11 (the shell), 0.06, 0.11, ..., and 0.06 at the odd end.
    x_adv = pgd(model, x + 0.01, y, threat, rng=draws, steps=19, rel_step="1/8", start=False)
    assert (model(x_adv).argmax(1) == 1).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_zero_gradient_moves_nothing_and_gives_no_nan(norm):
    model = linear(48, 2).requires_grad_(False)
    model.classifier.weight.zero_()
    x = torch.rand(4, *SHAPE)
    y = model(x).argmax(1)
    draws = Draws(0, "test", torch.arange(4))
    assert torch.equal(fgsm(model, x, y, Threat(norm, "1/4"), rng=draws), x)
    assert torch.isfinite(pgd(model, x, y, Threat(norm, "1/4"), rng=draws)).all()
