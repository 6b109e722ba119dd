"""Every native attack in the folder, found by itself, keeps the rules on a real architecture."""

import inspect
import pkgutil
from importlib import import_module

import pytest
import torch

import rbench.attacks
from rbench.referee import Witness, judge
from rbench.rng import Draws
from rbench.types import Threat

MODULES = [m.name for m in pkgutil.iter_modules(rbench.attacks.__path__) if not m.name.startswith("_")]
ATTACKS = {name: getattr(import_module(f"rbench.attacks.{name}"), name) for name in MODULES}
NATIVE = {name: attack for name, attack in ATTACKS.items() if not hasattr(attack, "third_party")}
THREATS = [Threat("linf", "8/255"), Threat("l2", "1/2")]
everywhere = pytest.mark.parametrize(
    ("name", "threat"),
    [(name, threat) for name in NATIVE for threat in THREATS],
    ids=lambda value: getattr(value, "norm", value),
)


@pytest.fixture
def batch(small_net):
    x = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    x[0], x[1] = 0, 1  # the corners of the box
    net = small_net.double().requires_grad_(False)
    return net, x.double(), net(x.double()).argmax(1)


def test_attacks_are_found():
    assert {"fgsm", "pgd"} <= NATIVE.keys()
    assert "autoattack" in NATIVE


@pytest.mark.parametrize("name", ATTACKS)
def test_the_signature_is_the_protocol(name):
    names = list(inspect.signature(ATTACKS[name]).parameters)
    assert names[:5] == ["model", "x", "y", "threat", "rng"]
    assert inspect.getdoc(ATTACKS[name])


@everywhere
def test_in_the_ball_in_the_box_and_effective(name, threat, batch):
    model, x, y = batch
    x_adv = NATIVE[name](model, x, y, threat, rng=Draws(0, name, torch.arange(30)))
    verdict = judge(model, x, y, x_adv, threat, classes=10, attack=name)
    assert verdict.distance.max() > 0.5 * threat.radius
    assert (verdict.pred != y).float().mean() > 0.2


@everywhere
def test_same_seed_same_result_and_the_model_is_untouched(name, threat, batch):
    model, x, y = batch
    witness = Witness(model)
    runs = [NATIVE[name](model, x, y, threat, rng=Draws(0, name, torch.arange(30))) for _ in range(2)]
    assert torch.equal(*runs)
    assert all(p.grad is None for p in model.parameters())
    witness.check("attacked")


@everywhere
def test_the_global_randomness_is_neither_used_nor_moved(name, threat, batch):
    model, x, y = batch
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        runs.append(NATIVE[name](model, x, y, threat, rng=Draws(0, name, torch.arange(30))))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*runs)


@everywhere
def test_batch_size_and_order_change_no_flag_in_float64(name, threat, batch):
    model, x, y = batch
    whole = NATIVE[name](model, x, y, threat, rng=Draws(0, name, torch.arange(30)))
    flags = model(whole).argmax(1) != y
    for rows in (torch.arange(30).split(7), torch.randperm(30, generator=torch.Generator().manual_seed(3)).split(11)):
        for part in rows:
            x_adv = NATIVE[name](model, x[part], y[part], threat, rng=Draws(0, name, part))
            assert torch.equal(model(x_adv).argmax(1) != y[part], flags[part])
            assert torch.allclose(x_adv, whole[part], atol=1e-9)
