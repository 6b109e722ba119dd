import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy import stats

from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.recipe import Augment, AugMix
from rbench.rng import Draws
from rbench.training.augmix import Mixture, Step, augmix, dirichlet, mix, plan
from rbench.training.objectives import augmix as objective_of
from rbench.training.objectives import jensen_shannon
from rbench.training.operations import OPERATIONS, autocontrast, posterize, translate_x
from rbench.training.pipeline import Pipeline


def draws(count, stream="test"):
    return Draws(0, stream, torch.arange(count))


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(digits("train").pixels[:12]).float() / 255


@pytest.mark.parametrize("depth", [None, 1, 5])
def test_mixtures_have_their_width_depth_levels_and_signs(depth):
    mixtures = plan(AugMix(severity=4, width=2, depth=depth), draws(500), 0)
    chains = [chain for mixture in mixtures for chain in mixture.chains]
    steps = [step for chain in chains for step in chain]
    assert len(mixtures) == 500
    assert all(len(mixture.chains) == len(mixture.weights) == 2 for mixture in mixtures)
    depths = Counter(map(len, chains))
    assert set(depths) == ({1, 2, 3} if depth is None else {depth})
    if depth is None:
        assert stats.chisquare(list(depths.values())).pvalue > 1e-3
    assert stats.chisquare(list(Counter(step.operation for step in steps).values())).pvalue > 1e-3
    assert {step.operation for step in steps} == set(range(len(OPERATIONS)))
    assert stats.kstest([step.level for step in steps], stats.uniform(0.1, 3.9).cdf).pvalue > 1e-3
    assert stats.binomtest(sum(step.sign == 1 for step in steps), len(steps)).pvalue > 1e-3
    assert {step.sign for step in steps} == {1, -1}


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_weights_are_dirichlet_and_shares_beta(alpha):
    mixtures = plan(AugMix(alpha=alpha), draws(1500), 1)
    weights = np.array([mixture.weights for mixture in mixtures])
    assert weights.sum(1) == pytest.approx(1)
    assert (weights >= 0).all()
    for column in weights.T:  # a part of a Dirichlet vector is Beta
        assert stats.kstest(column, stats.beta(alpha, 2 * alpha).cdf).pvalue > 1e-3
    pair = weights[:, 0] + weights[:, 2]
    assert stats.kstest(pair, stats.beta(2 * alpha, alpha).cdf).pvalue > 1e-3
    shares = np.array([mixture.share for mixture in mixtures])
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(shares, weights[:, 0])[0, 1]) < 0.1


def test_weights_for_extreme_alpha():
    equal = plan(AugMix(alpha=1e7), draws(20), 0)
    assert [mixture.weights for mixture in equal] == pytest.approx(np.full((20, 3), 1 / 3), abs=1e-3)
    assert [mixture.share for mixture in equal] == pytest.approx([0.5] * 20, abs=1e-3)
    single = [sorted(mixture.weights) for mixture in plan(AugMix(alpha=1e-4), draws(20), 0)]
    assert single == pytest.approx(np.tile([0, 0, 1], (20, 1)), abs=1e-3)


def test_a_stick_broken_by_hand():
    # Beta(1, 2) has the quantiles 1 - sqrt(1 - u), Beta(1, 1) has u.
    assert dirichlet(np.array([0.75, 0.4]), 1.0) == pytest.approx((0.5, 0.2, 0.3))
    assert dirichlet(np.array([]), 1.0) == (1.0,)


def test_a_mixture_by_hand():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8))
    chains = (
        (Step(OPERATIONS.index(posterize), 5.0, 1), Step(OPERATIONS.index(translate_x), 5.0, -1)),
        (Step(OPERATIONS.index(autocontrast), 1.0, 1),),
    )
    found = mix(picture, Mixture(chains, (0.25, 0.75), 0.4))
    posterised = np.asarray(picture) & 0b11000000
    first = np.zeros_like(posterised)
    first[:, 1:] = posterised[:, :-1]
    second = np.asarray(ImageOps.autocontrast(picture))
    assert found == pytest.approx((0.6 * np.asarray(picture) + 0.4 * (0.25 * first + 0.75 * second)) / 255, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), severity=st.integers(1, 10), alpha=st.floats(0.01, 100))
def test_mixtures_lie_between_the_image_and_its_chains(seed, severity, alpha):
    picture = Image.fromarray(digits("train").pixels[seed % 1000].transpose(1, 2, 0))
    chosen = AugMix(severity=severity, alpha=alpha)
    (mixture,) = plan(chosen, Draws(seed, "test", torch.zeros(1, dtype=torch.int64)), 0)
    found = mix(picture, mixture)
    corners = [mix(picture, mixture._replace(share=0.0))]
    corners += [mix(picture, Mixture((chain,), (1.0,), 1.0)) for chain in mixture.chains]
    assert corners[0] == pytest.approx(np.asarray(picture) / 255, abs=1e-6)
    assert (found >= np.min(corners, 0) - 1e-6).all()
    assert (found <= np.max(corners, 0) + 1e-6).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_what_becomes_of_an_image_does_not_depend_on_its_batch(x):
    whole = augmix(x, AugMix(), draws(12), 0)
    assert whole.shape == x.shape
    assert whole.dtype == torch.float32
    rows = torch.tensor([7, 2])
    torch.manual_seed(3)
    assert torch.equal(augmix(x[rows], AugMix(), Draws(0, "test", rows), 0), whole[rows])


@pytest.mark.parametrize("other", [(draws(12, "epoch 1"), 0), (Draws(1, "test", torch.arange(12)), 0), (draws(12), 1)])
def test_views_epochs_and_seeds_differ(x, other):
    differ = (augmix(x, AugMix(), draws(12), 0) != augmix(x, AugMix(), *other)).flatten(1).any(1)
    assert differ.all()


def test_severity_is_how_far_an_image_may_move(x):
    def moved(severity):
        return float((augmix(x, AugMix(severity=severity), draws(12), 0) - x).abs().mean())

    assert moved(1) < moved(4) < moved(10)


def test_objective_needs_its_table(plain):
    with pytest.raises(UsageError, match=r"recipe 'tiny': the objective augmix needs an \[augmix\] table"):
        objective_of(recipe=plain)


def test_views_are_the_image_and_two_augmentations_that_differ(plain, x):
    objective = objective_of(recipe=replace(plain, augmix=AugMix()))
    pipeline = Pipeline(digits("train"), replace(plain, augment=Augment(), augmix=AugMix()), 0)
    batch, again = pipeline[3, np.arange(12)], pipeline[3, np.arange(12)]
    clean, first, second = objective.views(None, batch, None)
    assert torch.equal(clean, x)
    assert not torch.equal(first, second)
    same = objective.views(None, again, None)
    assert all(torch.equal(left, right) for left, right in zip(same, (clean, first, second), strict=True))
    assert torch.equal(pipeline[3, np.array([7, 2])].mixed[1], second[[7, 2]])
    assert objective.shares == (1 / 3, 1 / 3, 1 / 3)


def test_loss_is_the_entropy_of_the_clean_view_plus_the_divergence_of_all(plain):
    logits = torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6)
    objective = objective_of(recipe=replace(plain, augmix=AugMix(jsd=5.0)))
    expected = F.cross_entropy(logits[0], y) + 5 * jensen_shannon(logits)
    assert objective.loss(list(logits), y).item() == pytest.approx(expected.item())
    assert objective.loss([logits[0]] * 3, y).item() == pytest.approx(F.cross_entropy(logits[0], y).item(), abs=1e-6)


def test_divergence_by_hand():
    same = torch.randn(4, 10)
    assert jensen_shannon([same, same, same]).item() == pytest.approx(0, abs=1e-7)
    # (3/4, 1/4), (1/4, 3/4), (1/2, 1/2): the mean is even, so JS = log 2 - mean entropy.
    odds = math.log(3)
    views = [torch.tensor([[odds, 0.0]]), torch.tensor([[0.0, odds]]), torch.tensor([[0.0, 0.0]])]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert jensen_shannon(views).item() == pytest.approx(math.log(2) - (2 * entropy + math.log(2)) / 3)
    # Of three certain, different predictions it is log 3, the largest value; logits may be huge.
    certain = [1000 * F.one_hot(torch.tensor([k]), 3).float() for k in range(3)]
    assert jensen_shannon(certain).item() == pytest.approx(math.log(3))
    doubled = [torch.cat([view, same[:1, :2].expand(1, 2)]) for view in views]
    assert jensen_shannon(doubled).item() == pytest.approx(jensen_shannon(views).item() / 2)  # a mean over the batch


def test_divergence_is_that_of_the_public_formula_and_its_gradient_is_finite():
    logits = [torch.randn(5, 10).mul(20).requires_grad_() for _ in range(3)]
    p = [F.softmax(view, dim=1) for view in logits]
    mixture = torch.clamp((p[0] + p[1] + p[2]) / 3, 1e-7, 1).log()
    expected = sum(F.kl_div(mixture, q, reduction="batchmean") for q in p) / 3
    loss = jensen_shannon(logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(torch.isfinite(view.grad).all() for view in logits)
    extreme = (1000 * torch.eye(3)).requires_grad_()
    jensen_shannon([extreme, extreme.detach().flip(0)]).backward()
    assert torch.isfinite(extreme.grad).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"severity": 0}, r"augmix.severity = 0 must be from 1 to 10"),
        ({"severity": 11}, r"augmix.severity = 11 must be"),
        ({"width": 0}, r"augmix.width = 0 .* at least 1"),
        ({"depth": 0}, r"depth = 0 must each be at least 1"),
        ({"alpha": 0.0}, r"augmix.alpha = 0.0 must be greater than 0"),
    ],
)
def test_mistakes_in_the_table_are_named(keys, message):
    with pytest.raises(UsageError, match=message):
        AugMix(**keys)
