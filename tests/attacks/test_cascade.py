"""Cascade: exact where the answer is known, as strong as AutoAttack on a small network, at a fraction of its passes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_closed_form import SHAPE, best_linf, margins, problem, standing
from torch import nn

import rbench
from rbench.attacks.autoattack import autoattack
from rbench.attacks.cascade import cascade
from rbench.attacks.pgd import pgd
from rbench.data.digits import digits
from rbench.models.linear import linear
from rbench.models.twin import Counted
from rbench.referee import judge
from rbench.rng import Draws
from rbench.types import Threat

BUDGET = 1275  # forwards and backwards a sample; full AutoAttack needs about 10,700
LITTLE = {"steps": 12, "queries": 20}


def attacked(model, x, y, threat, rows=None, **params):
    rows = torch.arange(len(x)) if rows is None else rows
    return cascade(model, x, y, threat, rng=Draws(0, "test", rows), **params)


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6), st.sampled_from(["1/255", "8/255", "1/4"]))
def test_the_closed_form_of_a_linear_model_for_linf(seed, eps):
    model, x, y, difference = problem(seed)
    threat = Threat("linf", eps)
    exact = margins(model, best_linf(x, y, difference, threat.radius), y)
    x_adv = attacked(model, x, y, threat, **LITTLE)
    assert torch.allclose(standing(margins(model, x_adv, y), exact), exact, atol=1e-9)
    assert torch.equal(model(x_adv).argmax(1) != y, exact < 0)


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6), st.sampled_from(["1/100", "1/10", "1/5"]))
def test_the_closed_form_of_a_linear_model_for_l2(seed, eps):
    model, x, y, difference = problem(seed, spread=0.2)  # far from the box, where margin = m - eps ||w||
    threat = Threat("l2", eps)
    exact = margins(model, x, y) - threat.radius * difference.norm()
    found = standing(margins(model, attacked(model, x, y, threat, **LITTLE), y), exact)
    assert (found >= exact - 1e-9).all()
    assert (found <= exact + 1e-3 * threat.radius * difference.norm()).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 3, 4, 1000])
def test_any_number_of_classes_falls_to_the_nearest_boundary(classes, norm):
    torch.manual_seed(0)
    model = linear(48, classes).double().requires_grad_(False)
    x = 0.5 + 0.1 * (torch.rand(16, *SHAPE, dtype=torch.float64) - 0.5)
    y = model(x).argmax(1)
    w, z = model.classifier.weight, model(x)
    dual = (w[y][:, None] - w).norm(p=1 if norm == "linf" else 2, dim=2)
    away = (z.gather(1, y[:, None]) - z).scatter(1, y[:, None], torch.inf) / dual.clamp_min(1e-9)
    distance, _ = away.amin(1).sort()  # to the nearest boundary, as the box is far away
    threat = Threat(norm, str(((distance[7] + distance[8]) / 2).item()))
    exact = away.amin(1) - threat.radius
    x_adv = attacked(model, x, y, threat)
    judge(model, x, y, x_adv, threat, classes=classes, attack="cascade")
    assert torch.equal(model(x_adv).argmax(1) != y, exact < 0)


@pytest.fixture(scope="module")
def trained():
    """The adversarially trained digits network and training images, from near its boundary to far away."""
    model = rbench.load_model("at-digits").eval().requires_grad_(False)
    data = digits("train")
    x = torch.from_numpy(data.images(np.arange(300))).float() / 255
    y = torch.from_numpy(data.labels[:300])
    top = model(x).topk(2, dim=1).values
    near = ((top[:, 0] - top[:, 1]) + 1e9 * (model(x).argmax(1) != y)).argsort()[:280:25]
    return model, x[near], y[near]


@pytest.mark.parametrize("threat", [Threat("linf", "28/255"), Threat("l2", "3/2")], ids=lambda threat: threat.norm)
def test_no_weaker_than_pgd_on_a_trained_network_within_the_budget(threat, trained):
    model, x, y = trained
    counted = Counted(model, lambda _: None)
    fooled = model(attacked(counted, x, y, threat)).argmax(1) != y
    by_pgd = model(pgd(model, x, y, threat, rng=Draws(0, "pgd20", torch.arange(len(x))))).argmax(1) != y
    assert (~fooled).any()
    assert by_pgd.any()
    assert not (by_pgd & ~fooled).any()
    assert sum(counted.take()) <= BUDGET * len(x)


@pytest.fixture
def small():
    """A network of two layers, trained on 400 digits in a second, and eight of them."""
    data = digits("train")
    x, y = torch.from_numpy(data.images(np.arange(400))).float() / 255, torch.from_numpy(data.labels[:400])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 10)
    model = nn.Sequential(*layers)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95
    rows = (model(x).argmax(1) == y).nonzero()[:8, 0]
    return model.requires_grad_(False), x[rows], y[rows]


@pytest.mark.parametrize("threat", [Threat("linf", "20/255"), Threat("l2", "1")], ids=lambda threat: threat.norm)
def test_as_strong_as_autoattack_at_an_eighth_of_its_passes(threat, small):
    model, x, y = small
    counts, robust = [], []
    for attack in (autoattack, cascade):
        counted = Counted(model, lambda _: None)
        x_adv = attack(counted, x, y, threat, rng=Draws(0, "aa", torch.arange(len(x))))
        robust.append(model(x_adv).argmax(1) == y)
        counts.append(sum(counted.take()))
    assert 0 < robust[0].sum() < len(x)
    assert not (robust[1] & ~robust[0]).any()
    assert counts[1] * 8 < counts[0]


class Masked(nn.Module):
    """The mean of the pixels and a fine ripple, whose gradient is four times that of the mean."""

    def forward(self, x):
        value = x.flatten(1).mean(1) - 0.5 + 0.2 * (torch.sin(4000 * x) / 400).flatten(1).mean(1)
        return torch.stack([-value, value + 0.0], dim=1) * 10


def test_random_squares_find_what_gradients_hide():
    model, x = (
        Masked(),
        torch.full((8, 1, 8, 8), 0.4) + 0.05 * torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
    )
    y, threat = torch.zeros(8, dtype=torch.int64), Threat("linf", "1/10")
    x_adv = attacked(model, x, y, threat)
    by_pgd = pgd(model, x, y, threat, rng=Draws(0, "t", torch.arange(8)), steps=50)
    assert (model(x_adv).argmax(1) == 1).all()
    assert (model(by_pgd).argmax(1) == 0).all()


class Bump(nn.Module):
    """Class 1 near one corner of the ball only, and the gradient at the images points away from it."""

    def forward(self, x):
        a = x[:, 0, 0, 0] - 0.5
        hill = 0.5 * torch.exp(-((a + 0.1) ** 2) / 0.002)  # a local maximum of the loss, no higher than 0.5
        peak = 1.5 * torch.sigmoid((a - 0.02) / 0.005)
        return torch.stack([torch.ones_like(a), hill + peak], dim=1)


def test_restarts_find_a_bump_that_pgd_misses():
    x, y, threat = torch.full((4, 1, 2, 2), 0.5), torch.zeros(4, dtype=torch.int64), Threat("linf", "1/10")
    x[:, 0, 0, 0] = 0.45
    from_image = pgd(Bump(), x, y, threat, rng=Draws(0, "t", torch.arange(4)), start=False)
    assert (Bump()(from_image).argmax(1) == 0).all()
    assert (Bump()(attacked(Bump(), x, y, threat)).argmax(1) == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_gradient_or_one_that_is_not_finite_gives_no_nan(norm, dtype):
    class Root(nn.Module):
        """sqrt |x - x| has gradient NaN; the last class does not depend on x at all."""

        def forward(self, x):
            flat = (x - x.detach()).flatten(1).abs().sqrt().sum(1) + x.detach().flatten(1).mean(1)
            return torch.stack([flat + 1, flat, torch.zeros_like(flat)], dim=1)

    x = torch.rand(4, *SHAPE, dtype=dtype)
    for model in (Root(), linear(48, 2).to(dtype).requires_grad_(False)):
        if not isinstance(model, Root):
            model.classifier.weight.zero_()
        y = model(x).argmax(1)
        x_adv = attacked(model, x, y, Threat(norm, "1/4"), steps=5, queries=20)
        verdict = judge(model, x, y, x_adv, Threat(norm, "1/4"), classes=model(x).shape[1], attack="cascade")
        assert torch.equal(verdict.pred, y)  # nothing about these models can be changed


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_batches_change_nothing_in_float64(norm, small_net):
    model = small_net.double().requires_grad_(False)
    x = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, threat = model(x).argmax(1), Threat(norm, "1/255" if norm == "linf" else "1/20")
    whole = attacked(model, x, y, threat, **LITTLE)
    assert 0 < (model(whole).argmax(1) != y).sum() < 9
    for rows in torch.tensor([4, 0, 8, 2, 6, 1, 5, 3, 7]).split(4):
        part = attacked(model, x[rows], y[rows], threat, rows, **LITTLE)
        assert torch.allclose(part, whole[rows], atol=1e-9)


def test_a_model_with_huge_logits_is_as_weak_as_itself(trained):
    model, x, y = trained

    class Hot(nn.Module):
        def forward(self, x):
            return 1000 * model(x)

    threat = Threat("linf", "28/255")
    assert F.cross_entropy(Hot()(x), y) == 0  # cross-entropy has no gradient left
    plain, hot = (m(attacked(m, x, y, threat, **LITTLE)).argmax(1) != y for m in (model, Hot()))
    assert plain.any()
    assert torch.equal(plain, hot)
