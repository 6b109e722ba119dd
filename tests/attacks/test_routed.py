"""Routers that hide the gradient, stand-ins and randomness, each with a robust accuracy that is known."""

import pytest
import torch
from routed import TOOTH, Hinting, Linear, Masked, Noisy, Quantised, Routed, problem, worst_linf

from rbench.attacks.joint import joint
from rbench.attacks.pgd import pgd
from rbench.attacks.routed import PLANS, routed
from rbench.errors import UsageError
from rbench.models.twin import Counted
from rbench.referee import opinion
from rbench.rng import Draws
from rbench.types import Threat

THREAT = Threat("linf", "1/40")
DRAWS = Draws(0, "test", torch.arange(64))


def standing(model, x_adv, y):
    return model(x_adv).argmax(1) == y


def masked_problem():
    """The masked toy, the images whose fate its teeth do not decide, and whether each can be fooled."""
    model, x, y = problem(Masked(), n=200)
    margins = []
    for images in (x, worst_linf(model, x, y, THREAT.radius)):
        z = Linear.forward(model, images)
        margins.append((z[:, 0] - z[:, 1]) * torch.where(y == 0, 1.0, -1.0))
    clear = (margins[0] > 20 * TOOTH) & (margins[1].abs() > 8 * TOOTH)
    rows = clear.nonzero()[:64, 0]
    return model, x[rows], y[rows], margins[1][rows] < 0


def test_the_toy_has_images_of_either_fate():
    _, x, _, breakable = masked_problem()
    assert len(x) == 64
    assert 0.2 < breakable.double().mean() < 0.8


def test_a_router_that_hides_the_gradient_makes_plain_attacks_fail():
    model, x, y, _ = masked_problem()
    for x_adv in (
        pgd(model, x, y, THREAT, rng=DRAWS),
        routed(model, x, y, THREAT, rng=DRAWS, variant="V0"),
    ):
        assert standing(model, x_adv, y).all()


@pytest.mark.parametrize("variant", ["V1", "V2", "V4", "V5", "V8", "V10"])
def test_a_frozen_route_finds_every_sample_that_can_be_fooled_and_no_other(variant):
    model, x, y, breakable = masked_problem()
    x_adv = routed(model, x, y, THREAT, rng=DRAWS, variant=variant, steps=30)
    assert torch.equal(~standing(model, x_adv, y), breakable)
    assert (x_adv - x).abs().max() <= THREAT.radius + 1e-12


class Headless(Routed):
    type_logits = None


@pytest.mark.parametrize("net", [Routed, Headless])
def test_v3_makes_the_route_look_clean_or_the_reverse_as_beta_says(net):
    model, x, y = problem(net())
    looks = []
    for beta in (1000.0, -1000.0):
        x_adv = routed(model, x, y, THREAT, rng=DRAWS, variant="V3", betas=(beta,), steps=20, stop=False)
        away = (model.route(x_adv) - model.route(x)).square().mean(1)
        looks.append(model.type_logits(x_adv).log_softmax(1)[:, 1] if model.type_logits else -away)
    assert (looks[0] >= looks[1]).double().mean() > 0.9
    assert (looks[0] > looks[1]).double().mean() > 0.6  # else the start had the least margin, whatever beta


@pytest.mark.parametrize("variant", PLANS)
def test_on_an_honest_router_every_variant_stays_in_the_ball_and_fools(variant):
    model, x, y = problem(Routed())
    x_adv = routed(model, x, y, THREAT, rng=DRAWS, variant=variant, steps=20)
    assert (x_adv - x).abs().max() <= THREAT.radius + 1e-12
    assert standing(model, x_adv, y).double().mean() < 0.7
    for rows in torch.arange(64).split(9):
        part = routed(model, x[rows], y[rows], THREAT, rng=DRAWS.take(rows), variant=variant, steps=20)
        assert torch.allclose(part, x_adv[rows], atol=1e-9)


def test_a_phase_costs_what_it_says():
    inner, x, y, breakable = masked_problem()
    robust = ~breakable
    model, n, steps = Counted(inner, lambda _: None), int((~breakable).sum()), 10
    rng = Draws(0, "test", torch.arange(n))
    for variant, forwards, backwards in (("V0", steps + 1, steps), ("V1", 2 * steps + 1, steps)):
        routed(model, x[robust], y[robust], THREAT, rng=rng, variant=variant, steps=steps)
        assert model.take() == (n * (forwards + 1), n * backwards)  # and the route of the clean images


def test_joint_ascends_its_two_terms_and_nothing_else():
    """With type_weight alone the head comes to say clean; with weight alone it is PGD on the cross-entropy."""
    model, x, y = problem(Routed())
    alone = joint(model, x, y, THREAT, rng=DRAWS, weight=0.0, stop=False, steps=1, rel_step="2")
    plain = pgd(model, x, y, THREAT, rng=DRAWS, steps=20, rel_step="153/1600")
    assert torch.equal(joint(model, x, y, THREAT, rng=DRAWS, type_weight=0.0), plain)
    start = pgd(model, x, y, THREAT, rng=DRAWS, steps=0)
    direction = (model.types[1] - model.types[0]).sign().view(1, *x.shape[1:])
    end = (x + THREAT.radius * direction).clamp(0, 1)  # one step of 2 eps reaches the corner that looks cleanest
    is_end = (alone - end).abs().amax((1, 2, 3)) < 1e-12
    is_start = (alone == start).flatten(1).all(1)
    assert (is_end | is_start).all()  # whichever of the two has the lesser margin
    assert is_end.any()


def test_joint_fools_an_honest_router():
    model, x, y = problem(Routed())
    found, best = joint(model, x, y, THREAT, rng=DRAWS), pgd(model, x, y, THREAT, rng=DRAWS)
    assert standing(model, best, y).double().mean() <= standing(model, found, y).double().mean() < 0.8


@pytest.mark.parametrize(
    ("attack", "options", "net", "hook"),
    [
        (routed, {}, Linear(), "route"),
        (routed, {"variant": "V8"}, type("NoBranches", (Masked,), {"branches": None})(), "branches"),
        (joint, {}, Masked(), "type_logits"),
    ],
)
def test_a_missing_hook_is_named(attack, options, net, hook):
    model, x, y = problem(net)
    with pytest.raises(UsageError, match=f"the hook '{hook}'; give the model that method"):
        attack(model, x, y, THREAT, rng=DRAWS, **options)


def test_a_stand_in_finds_what_rounding_hides():
    rounded, x, y = problem(Quantised())
    exact = standing(rounded, worst_linf(rounded, x, y, THREAT.radius), y)
    assert standing(rounded, pgd(rounded, x, y, THREAT, rng=DRAWS), y).double().mean() > exact.double().mean() + 0.2
    model = Counted(Hinting().double().requires_grad_(False), lambda _: None)
    x_adv = pgd(model, x, y, THREAT, rng=DRAWS, rel_step="1", start=False)
    assert torch.equal(standing(rounded, x_adv, y), exact)


def test_expectation_over_transformation_finds_what_single_draws_miss():
    model, x, y = problem(Linear())
    threat = Threat("linf", "1/20")
    noisy = Noisy().double().requires_grad_(False)
    left = {}
    for eot in (1, 20):
        torch.manual_seed(0)
        x_adv = pgd(noisy, x, y, threat, rng=DRAWS, steps=20, eot=eot, stop=False)
        pred, _ = opinion(noisy, x_adv, y, 2, range(100, 201))
        left[eot] = (pred == y).double().mean()
    exact = standing(model, worst_linf(model, x, y, threat.radius), y).double().mean()
    assert left[20] <= exact + 0.1  # about the mean weights the worst case is that of the linear model
    assert left[20] < left[1] - 0.1


def test_a_model_that_says_what_frozen_means_is_taken_at_its_word():
    class Held(Masked):
        """Its route leads nowhere when held; what holds it is another code."""

        def route(self, x):
            return super().route(x) - super(Masked, self).forward(x)

        def forward(self, x, code=None):
            return super().forward(x, 0 if code is None else code)

        def freeze_route(self, x):
            return torch.zeros(len(x), 2, dtype=x.dtype)

    _, x, y, breakable = masked_problem()
    own = Held().double().requires_grad_(False)
    x = x.double()
    counted = Counted(own, lambda n: None)
    x_adv = routed(counted, x, y, THREAT, rng=DRAWS, variant="V1")
    assert torch.equal(~standing(own, x_adv, y), breakable)
