"""Every native attack in the folder, found by itself, keeps the rules of the game."""

import inspect
import pkgutil
from functools import partial
from importlib import import_module

import pytest
import torch
from routed import Routed
from test_closed_form import best_linf, margins, problem

import rbench.attacks
import rbench.attacks.autoattack as aa
from rbench.attacks.fgsm import fgsm
from rbench.models.linear import linear
from rbench.referee import Witness, judge
from rbench.rng import Draws
from rbench.types import Threat

MODULES = [m.name for m in pkgutil.iter_modules(rbench.attacks.__path__) if not m.name.startswith("_")]
FOUND = {name: getattr(import_module(f"rbench.attacks.{name}"), name) for name in MODULES}
# Small budgets: the contract is about the rules, the tests of each attack are about its strength.
LESS = {
    "apgd": {"steps": 25},
    "cascade": {},
    "cw": {"steps": 60, "searches": 4, "lr": 0.05, "constant": 1.0},
    "deepfool": {"steps": 15},
    "fab": {"steps": 15, "targets": 4},
    "noise": {"draws": 60},
    "routed": {"steps": 10, "variant": "V10"},
    "square": {"queries": 150},
}
ATTACKS = {name: partial(attack, **LESS.get(name, {})) for name, attack in FOUND.items()}
# Random points, random squares, steps to the linearised boundary, and AW-Net's loss are no match for FGSM everywhere.
NOT_A_MATCH = {"noise", "square", "deepfool", "fab", "joint"}
THREATS = [Threat("linf", "4/255"), Threat("l2", "1/4")]  # that let some samples stand against every attack
N = 16
everywhere = pytest.mark.parametrize(
    ("name", "threat"),
    [(name, threat) for name in ATTACKS for threat in THREATS],
    ids=lambda value: getattr(value, "norm", value),
)


@pytest.fixture(autouse=True)
def _less_of_autoattack(monkeypatch):
    """AutoAttack's parts with small budgets; that the full ones are the published ones is tested elsewhere."""
    stages = aa._stages
    few = {"apgd-ce": {"steps": 10}, "apgd-t": {"steps": 6, "targets": 3}, "fab-t": {"steps": 6, "targets": 3}}

    def less(version, classes):
        return [
            (stage, partial(attack, **few.get(stage, {"queries": 50}))) for stage, attack in stages(version, classes)
        ]

    monkeypatch.setattr(aa, "_stages", less)


@pytest.fixture
def batch(request, small_net):
    """A network, a routed one for attacks that need its hooks, images with both corners of the box, and its labels."""
    needs_hooks = hasattr(FOUND[request.getfixturevalue("name")], "needs")
    net = Routed(classes=4) if needs_hooks else small_net
    size = 4 if needs_hooks else 16
    x = torch.rand(N, 3, size, size, generator=torch.Generator().manual_seed(1))
    x[0], x[1] = 0, 1
    net = net.double().requires_grad_(False)
    return net, x.double(), net(x.double()).argmax(1)


def attacked(name, model, x, y, threat, rows=None):
    rows = torch.arange(len(x)) if rows is None else rows
    return ATTACKS[name](model, x, y, threat, rng=Draws(0, name, rows))


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.fixture
def whole(name, threat, batch, outcomes):
    """What the attack makes of the whole batch, for all tests of it."""
    if (name, threat) not in outcomes:
        outcomes[name, threat] = attacked(name, *batch, threat)
    return outcomes[name, threat].clone()


def test_attacks_are_found():
    assert {"fgsm", "pgd", "mifgsm", "cw", "deepfool", "apgd", "fab", "square", "autoattack", "cascade"} <= FOUND.keys()


@pytest.mark.parametrize("name", FOUND)
def test_the_signature_is_the_protocol(name):
    names = list(inspect.signature(FOUND[name]).parameters)
    assert names[:5] == ["model", "x", "y", "threat", "rng"]
    assert inspect.getdoc(FOUND[name])


@everywhere
def test_in_the_ball_in_the_box_and_at_least_as_strong_as_fgsm(name, threat, batch, whole):
    model, x, y = batch
    verdict = judge(model, x, y, whole, threat, classes=len(model(x)[0]), attack=name)
    single = model(fgsm(model, x, y, threat, rng=Draws(0, name, torch.arange(N)))).argmax(1)
    if name not in NOT_A_MATCH and (name, threat.norm) != ("cw", "linf"):  # which minimises the L2 distance
        assert (verdict.pred != y).sum() >= (single != y).sum()
    assert (verdict.margin < margin_of(model, x, y)).float().mean() > 0.4


def margin_of(model, x, y):
    z = model(x)
    return z.gather(1, y[:, None])[:, 0] - z.scatter(1, y[:, None], -torch.inf).amax(1)


@everywhere
def test_the_same_whatever_the_global_randomness_and_the_model_is_untouched(name, threat, batch, whole):
    model, x, y = batch
    witness = Witness(model)
    torch.manual_seed(1)  # and not 0, with which the first run began
    before, given = torch.get_rng_state(), x.clone()
    assert torch.equal(attacked(name, model, x, y, threat), whole)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(given, x)
    assert all(p.grad is None for p in model.parameters())
    witness.check("attacked")


@everywhere
def test_batch_size_and_order_change_nothing_in_float64(name, threat, batch, whole):
    model, x, y = batch
    for part in torch.randperm(N, generator=torch.Generator().manual_seed(3)).split([1, 5, 10]):
        assert torch.allclose(attacked(name, model, x[part], y[part], threat, part), whole[part], atol=1e-7)


@everywhere
def test_images_in_any_layout_of_memory(name, threat, batch, whole):
    model, x, y = batch
    strided = x.transpose(2, 3).contiguous().transpose(2, 3)
    assert not strided.is_contiguous()
    assert torch.allclose(attacked(name, model, strided, y, threat), whole, atol=1e-7)


PLAIN = [name for name in ATTACKS if not hasattr(FOUND[name], "needs")]


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("classes", [2, 3, 4, 1000])
def test_few_classes_many_classes_and_a_single_image(name, threat, classes):
    torch.manual_seed(0)
    model = linear(48, classes).requires_grad_(False)
    x = torch.rand(1, 3, 4, 4)
    y = model(x).argmax(1)
    x_adv = attacked(name, model, x, y, threat)
    judge(model, x, y, x_adv, threat, classes=classes, attack=name)
    assert x_adv.dtype == torch.float32


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.norm)
@pytest.mark.parametrize("name", PLAIN)
def test_a_model_without_gradients_gives_no_nan(name, threat):
    model = linear(48, 4).requires_grad_(False)
    model.classifier.weight.zero_()
    x = torch.rand(4, 3, 4, 4)
    y = model(x).argmax(1)
    verdict = judge(model, x, y, attacked(name, model, x, y, threat), threat, classes=4, attack=name)
    assert torch.equal(verdict.pred, y)


@pytest.mark.parametrize("name", PLAIN)
def test_nobody_beats_the_closed_form_of_a_linear_model_and_the_strong_reach_it(name):
    model, x, y, difference = problem(5)
    threat = Threat("linf", "8/255")
    exact = margins(model, best_linf(x, y, difference, threat.radius), y)
    fooled = model(attacked(name, model, x, y, threat)).argmax(1) != y
    assert not fooled[exact > 1e-9].any()
    if name not in NOT_A_MATCH - {"deepfool", "fab"} | {"cw"}:
        slack = 0.05 * threat.radius * difference.abs().sum()
        clear = (exact < -slack) & (margins(model, x, y) > 1e-9)
        assert clear.sum() >= 8
        assert fooled[clear].all()
