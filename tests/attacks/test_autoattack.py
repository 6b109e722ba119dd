"""AutoAttack's parts: budgets counted, few classes, randomness, and what each part finds where the answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_closed_form import SHAPE, N, best_linf, margins, problem, standing

from rbench.attacks._ball import Ball
from rbench.attacks._losses import dlr, dlr_targeted
from rbench.attacks._squares import _bump, _window, propose_l2, propose_linf, tiles
from rbench.attacks.apgd import apgd
from rbench.attacks.autoattack import _stages, autoattack
from rbench.attacks.fab import fab
from rbench.attacks.square import share, square
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.models.twin import Counted
from rbench.rng import Draws
from rbench.types import Threat


def draws(n, name="test"):
    return Draws(0, name, torch.arange(n))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(["1/255", "8/255", "1/4"]))
def test_apgd_and_fab_reach_the_closed_form_for_linf(seed, eps):
    model, x, y, difference = problem(seed)
    threat = Threat("linf", eps)
    exact = margins(model, best_linf(x, y, difference, threat.radius), y)
    # Within half a percent of the way: the best loss need not be reached to the last bit.
    found = standing(margins(model, apgd(model, x, y, threat, rng=draws(N)), y), exact)
    assert torch.allclose(found, exact, atol=5e-3 * threat.radius * difference.abs().sum())
    # FAB oversteps by five percent of a step; and a sample on the boundary itself shows it no way to go.
    clear = (exact + 1e-2 * threat.radius * difference.abs().sum() < 0) & (margins(model, x, y) > 1e-9)
    fooled = model(fab(model, x, y, threat, rng=draws(N), targets=1)).argmax(1) != y
    assert fooled[clear].all()
    assert not fooled[exact > 1e-9].any()


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(["1/100", "1/10", "1/5"]))
def test_apgd_and_fab_reach_the_closed_form_for_l2(seed, eps):
    model, x, y, difference = problem(seed, spread=0.2)
    threat = Threat("l2", eps)
    way = threat.radius * difference.norm()
    exact = margins(model, x, y) - way
    for name, x_adv in (
        ("apgd", apgd(model, x, y, threat, rng=draws(N))),
        ("fab", fab(model, x, y, threat, rng=draws(N), targets=1)),
    ):
        fooled = model(x_adv).argmax(1) != y
        clear = (exact < -1e-2 * way) & (margins(model, x, y) > 1e-9)
        assert fooled[clear].all(), name
        assert not fooled[exact > 1e-9].any(), name


def test_fab_moves_to_the_boundary_and_no_farther():
    model, x, y, difference = problem(7, spread=0.2)
    distance = margins(model, x, y) / difference.norm()  # the least L2 distance to the other class
    x_adv = fab(model, x, y, Threat("l2", "10"), rng=draws(N), targets=1)
    moved = (x_adv - x).flatten(1).norm(dim=1)
    assert (moved >= distance - 1e-9).all()
    assert (moved <= 1.06 * distance + 1e-6).all()  # the first success ends it: one step, overshot by five percent


@pytest.mark.parametrize("loss", [dlr, dlr_targeted])
def test_dlr_does_not_mind_shift_and_scale(loss):
    z = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y, other = torch.arange(8) % 6, ((torch.arange(8) + 2) % 6,) if loss is dlr_targeted else ()
    assert torch.allclose(loss(z, y, *other), loss(7 * z - 3, y, *other), atol=1e-9)


def test_dlr_by_hand():
    z = torch.tensor([[5.0, 3.0, 2.0, 0.0]])
    assert dlr(z, torch.tensor([0])).item() == pytest.approx(-(5 - 3) / (5 - 2))
    assert dlr(z, torch.tensor([2])).item() == pytest.approx(-(2 - 5) / (5 - 2))
    assert dlr_targeted(z, torch.tensor([0]), torch.tensor([1])).item() == pytest.approx(-(5 - 3) / (5 - (2 + 0) / 2))


@pytest.mark.parametrize(("classes", "targets"), [(2, 1), (3, 2), (4, 3), (12, 9)])
def test_the_published_budget_is_what_runs_on_a_sample_that_stands(classes, targets):
    model = linear(48, classes).requires_grad_(False)
    model.classifier.bias[0] = 100  # nobody is fooled
    counted = Counted(model, lambda n: None)
    x = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(3, dtype=torch.int64)
    x_adv = autoattack(counted, x, y, Threat("linf", "8/255"), rng=draws(3))
    assert (model(x_adv).argmax(1) == 0).all()
    forwards, backwards = counted.take()
    assert backwards == 3 * (101 + targets * 101 + targets * 100)
    square_queries = 5001
    bookkeeping = 1 + 3 * (0 + 1 + 1) + 1 + 3 * 4  # the count of classes, rankings, whoever stands
    assert forwards == 3 * (101 + targets * 101 + targets * 200 + square_queries) + bookkeeping + 0


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("version", ["standard", "rand"])
def test_few_classes_are_attacked_too(classes, version):
    torch.manual_seed(0)
    model = linear(48, classes).requires_grad_(False)
    x = torch.rand(20, *SHAPE)
    y = model(x).argmax(1)
    x_adv = autoattack(model, x, y, Threat("linf", "1/4"), rng=draws(20), version=version)
    assert (model(x_adv).argmax(1) != y).all()


def test_the_cross_entropy_stands_in_where_dlr_is_undefined():
    losses = {k: [stage.keywords.get("loss", "ce") for _, stage in _stages("standard", k)[1:2]] for k in (2, 3, 4)}
    assert losses == {2: ["ce-targeted"], 3: ["ce-targeted"], 4: ["dlr-targeted"]}
    assert [name for name, _ in _stages("rand", 2)] == ["apgd-ce"]
    assert [name for name, _ in _stages("rand", 3)] == ["apgd-ce", "apgd-dlr"]
    assert [stage.keywords["eot"] for _, stage in _stages("rand", 10)] == [20, 20]


@pytest.mark.parametrize(("loss", "classes"), [("dlr", 2), ("dlr-targeted", 3), ("ce", 1)])
def test_a_loss_that_is_undefined_says_so(loss, classes):
    model = linear(48, classes).requires_grad_(False)
    x = torch.rand(2, *SHAPE)
    with pytest.raises(UsageError, match=f"the model has {classes}"):
        apgd(model, x, torch.zeros(2, dtype=torch.int64), Threat("linf", "8/255"), rng=draws(2), loss=loss)


def test_apgd_halves_its_step_where_it_swings():
    class Valley(torch.nn.Module):
        """The margin is least on a thin line that whole steps of eps jump across: 0.3 past the start."""

        def forward(self, x):
            away = (x.flatten(1).mean(1) - 0.53).abs()
            return torch.stack([away - 1e-4, torch.zeros_like(away)], dim=1)

    x = torch.full((4, *SHAPE), 0.5, dtype=torch.float64)
    y = torch.zeros(4, dtype=torch.int64)
    x_adv = apgd(Valley(), x, y, Threat("linf", "1/10"), rng=draws(4), loss="margin")
    assert (Valley()(x_adv).argmax(1) == 1).all()


def test_square_needs_no_gradient_and_fools_a_rounding_model():
    class Steps(torch.nn.Module):
        """Rounds its pixels: no gradient tells anything."""

        def forward(self, x):
            bright = (x.flatten(1) * 8).round().mean(1)
            return torch.stack([bright, torch.full_like(bright, 4.3)], dim=1)

    x = torch.full((6, 3, 16, 16), 0.62)  # rounds to 5 of 8
    y = torch.zeros(6, dtype=torch.int64)
    x_adv = square(Steps(), x, y, Threat("linf", "1/10"), rng=draws(6), queries=500)
    assert (Steps()(x_adv).argmax(1) == 1).all()


def test_the_schedule_of_squares_is_the_published_one():
    first = {0: 0.8, 11: 0.4, 51: 0.2, 201: 0.1, 501: 0.05, 1001: 0.025, 2001: 0.0125, 4001: 0.00625}
    assert {query: share(0.8, query) for query in first} == pytest.approx(first)
    assert share(0.8, 10) == 0.8
    assert share(0.8, 9000) == pytest.approx(0.8 / 512)


def test_bumps_and_tiles_are_the_authors():
    from pyautoattack.square import SquareAttack

    theirs = SquareAttack(None, norm="L2", eps=1.0, device="cpu")
    for size in (3, 5, 6, 9):
        torch.manual_seed(0)
        eta = theirs.eta(size)
        ours = _bump(size, torch.zeros(1))
        assert torch.allclose(ours, eta, atol=1e-6) or torch.allclose(ours.T, eta, atol=1e-6)
    ball = Ball(torch.full((4, 3, 32, 32), 0.5), Threat("l2", "1/2"))
    delta = tiles(ball, draws(4)) - ball.x
    assert torch.allclose(delta.flatten(1).norm(dim=1), torch.full((4,), 0.5), atol=1e-5)
    assert (delta[:, :, 1:31, 1:31] != 0).float().mean() > 0.95  # five by five tiles of six pixels


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 3), (3, 4, 7), (3, 9, 5), (40, 6, 6)])
def test_square_takes_images_of_any_size(norm, shape):
    torch.manual_seed(0)
    size = int(np.prod(shape))
    model = linear(size, 3).requires_grad_(False)
    x = torch.rand(5, *shape)
    y = model(x).argmax(1)
    threat = Threat(norm, "1/4")
    x_adv = square(model, x, y, threat, rng=draws(5), queries=60)
    delta = (x_adv - x).flatten(1)
    length = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    assert (length <= threat.radius + 1e-6).all()
    assert margins_of(model, x_adv, y).mean() < margins_of(model, x, y).mean()


def margins_of(model, x, y):
    z = model(x)
    own = z.gather(1, y[:, None])[:, 0]
    return own - z.scatter(1, y[:, None], -torch.inf).amax(1)


def test_fab_goes_back_by_a_tenth_once_across():
    model, x, y, _ = problem(7, spread=0.2)
    points = []

    class Recorded(torch.nn.Module):
        def forward(self, images):
            points.append((images.requires_grad, images.detach().clone()))
            return model(images)

    # So small an eps that nothing counts and the search goes on.
    fab(Recorded(), x, y, Threat("l2", "1/1000000"), rng=draws(N), targets=1, steps=2)
    slopes = [point for asked, point in points if asked]
    tried = [point for asked, point in points[1:] if not asked]
    across = model(tried[0]).argmax(1) != y
    assert across.sum() > N // 2
    assert torch.allclose(slopes[1][across], (x + 0.9 * (tried[0] - x))[across])
    assert torch.equal(slopes[1][~across], tried[0][~across])


def test_a_square_goes_to_one_end_of_the_ball_whatever_was_there():
    threat = Threat("linf", "1/10")
    ball = Ball(torch.full((5, 3, 8, 8), 0.5, dtype=torch.float64), threat)
    words = draws(5).words(8, 0)
    for current in (ball.x, ball.x + 0.1, ball.x - 0.1):
        changed = propose_linf(ball, current, 0.25, words) - ball.x
        inside = torch.zeros(5, 3, 8, 8, dtype=torch.bool)
        inside[_window(ball.x, 4, words[:, 0], words[:, 1])] = True
        assert torch.allclose(changed[inside].abs(), torch.tensor(0.1, dtype=torch.float64))
        assert torch.equal(changed[~inside], (current - ball.x)[~inside])


def test_an_l2_square_is_paid_for_by_clearing_another():
    ball = Ball(torch.full((6, 3, 12, 12), 0.5, dtype=torch.float64), Threat("l2", "1/2"))
    current = ball.border(draws(6), 0)
    words = draws(6, "words").words(8, 0)
    proposal = propose_l2(ball, current, 0.1, words)
    here, there = (torch.zeros(6, 3, 12, 12, dtype=torch.bool) for _ in range(2))
    here[_window(ball.x, 5, words[:, 0], words[:, 1])] = True
    there[_window(ball.x, 5, words[:, 3], words[:, 4])] = True
    cleared = there & ~here
    assert cleared.any()
    assert torch.equal(proposal[cleared], ball.x[cleared])
    kept = ~(here | there)
    shares = (proposal - ball.x)[kept] / (current - ball.x)[kept]
    assert torch.allclose(shares, torch.ones_like(shares), atol=1e-9)  # the norm is eps already
    assert torch.allclose((proposal - ball.x).flatten(1).norm(dim=1), torch.full((6,), 0.5, dtype=torch.float64))
