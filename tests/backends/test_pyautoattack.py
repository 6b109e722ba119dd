"""The authors' own code in the place of the native attacks: marked, seeded, and within the rules."""

import numpy as np
import pytest
import torch

from rbench.attacks.apgd import apgd as native_apgd
from rbench.backends import pyautoattack
from rbench.backends._third_party import third_party
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.referee import judge
from rbench.rng import Draws
from rbench.types import Threat

THREATS = [Threat("linf", "32/255"), Threat("l2", "3")]
SHORT = {
    "apgd": {"steps": 10},
    "apgd-dlr": {"steps": 10, "loss": "dlr"},
    "apgd-t": {"steps": 5, "loss": "dlr-targeted", "targets": 3},
    "fab": {"steps": 5, "targets": 3},
    "fab-untargeted": {"steps": 5, "targeted": False, "restarts": 2},
    "square": {"queries": 100},
    "autoattack": {"version": "custom", "attacks": ("apgd-ce", "fab-t")},
}


def attack(name, model, x, y, threat, **params):
    function = getattr(pyautoattack, name.split("-")[0])
    return function(model, x, y, threat, rng=Draws(0, name, torch.arange(len(x))), **params)


@pytest.fixture
def batch(small_net):
    x = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    net = small_net.requires_grad_(False)
    return net, x, net(x).argmax(1)


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("name", SHORT)
def test_in_the_ball_of_either_norm_effective_and_repeatable(name, threat, batch):
    net, x, y = batch
    torch.manual_seed(5)
    before = torch.get_rng_state()
    x_adv = attack(name, net, x, y, threat, **SHORT[name])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(attack(name, net, x, y, threat, **SHORT[name]), x_adv)
    verdict = judge(net, x, y, x_adv, threat, classes=10, attack=name)
    assert (verdict.pred != y).any()
    assert verdict.distance[verdict.pred != y].min() > 0


@pytest.mark.parametrize("name", ["apgd", "fab", "square"])
def test_all_its_parameters_reach_the_package(name, batch):
    """Every parameter moves the result or the count of passes."""
    net, x, y = batch
    changes = {
        "apgd": [{"loss": "dlr"}, {"steps": 9}, {"restarts": 3}, {"eot": 2}, {"rho": 0.1, "steps": 40}],
        "fab": [{"steps": 3}, {"restarts": 3}, {"targeted": False}, {"targets": 1}],
        "square": [{"queries": 20}, {"restarts": 3}, {"p": 0.1}],
    }[name]
    short = {**SHORT[name], **({"targets": 2} if name == "fab" else {})}
    tiny = Threat("linf", "1/2550")  # nothing falls, so that no attack stops early
    for change in changes:
        plain = {**short, "steps": 40} if "rho" in change else short
        assert trace(name, net, x, y, tiny, plain) != trace(name, net, x, y, tiny, {**short, **change}), change


def trace(name, net, x, y, threat, params):
    """What an attack asks a model: the sums of its images."""
    asked = []
    hook = net.register_forward_pre_hook(lambda _, inputs: asked.append(float(inputs[0].detach().double().sum())))
    attack(name, net, x, y, threat, **params)
    hook.remove()
    return asked


def test_the_standard_budget_on_a_linear_model_is_exact_at_the_boundary():
    """A linear model falls within the ball exactly if |margin| < eps ||w||_1: the closed form is the oracle."""
    model = linear(12, 4).requires_grad_(False)
    x = 0.5 + 0.1 * torch.rand(8, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    logits = model(x)
    y = logits.argmax(1)
    weight = next(p for p in model.parameters() if p.shape == (4, 12))
    gaps = logits.gather(1, y[:, None]) - logits
    reach = (weight[y][:, None] - weight[None]).abs().sum(-1)
    needed = torch.where(reach > 0, gaps / reach.clamp_min(1e-9), torch.inf).amin(1)
    eps = float(needed.median()) * 1.0001
    assert 0 < eps < 0.4  # the box does not matter
    threat = Threat("linf", repr(eps))
    x_adv = attack("autoattack", model, x, y, threat)
    assert torch.equal(model(x_adv).argmax(1) != y, needed < eps)


def test_it_agrees_with_the_native_apgd_on_almost_all_samples(batch):
    net, x, y = batch
    flags = []
    for function in (native_apgd, pyautoattack.apgd):
        x_adv = function(net, x, y, THREATS[0], rng=Draws(0, "a", torch.arange(len(x))), steps=30)
        flags.append((net(x_adv).argmax(1) != y).numpy())
    assert np.mean(flags[0] == flags[1]) >= 5 / 6


@pytest.mark.parametrize(
    ("classes", "name", "params", "sentence"),
    [
        (3, "autoattack", {}, "AutoAttack's targeted DLR loss needs at least 4 classes, the model has 3"),
        (2, "autoattack", {"version": "rand"}, "AutoAttack's DLR loss needs at least 3 classes, the model has 2"),
        (3, "apgd", {"loss": "dlr-targeted"}, "APGD's targeted DLR loss needs at least 4 classes, the model has 3"),
        (2, "apgd", {"loss": "dlr"}, "APGD's DLR loss needs at least 3 classes, the model has 2"),
        (4, "autoattack", {"version": "custom"}, "goes with version = 'custom'"),
    ],
)
def test_too_few_classes_are_refused(classes, name, params, sentence):
    model = linear(12, classes).requires_grad_(False)
    x = torch.rand(2, 3, 2, 2)
    with pytest.raises(UsageError, match=sentence):
        attack(name, model, x, model(x).argmax(1), THREATS[0], **params)


def test_three_classes_run_by_what_needs_no_dlr():
    model = linear(12, 3).requires_grad_(False)
    x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    three = {"version": "custom", "attacks": ("apgd-ce", "fab-t", "square")}
    x_adv = attack("autoattack", model, x, y, Threat("linf", "1"), **three)
    assert (model(x_adv).argmax(1) != y).all()


def test_third_party_attacks_run_under_a_fork_of_the_global_randomness():
    @third_party("somebody")
    def theirs(model, x, y, threat, *, rng):
        return x + torch.rand_like(x)

    x = torch.zeros(3, 1, 2, 2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = theirs(None, x, None, THREATS[0], rng=Draws(0, "aa", torch.arange(3)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = theirs(None, x, None, THREATS[0], rng=Draws(0, "aa", torch.arange(3)))
    other = theirs(None, x, None, THREATS[0], rng=Draws(0, "aa", torch.arange(3, 6)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert theirs.third_party == "somebody"
