"""Whole updates by AT, TRADES, AWP, EWS and their combinations, against arithmetic that is written out here.

In float64, the two must agree to far less than the 1e-6 that is asked for. Nothing of `rbench.training` computes the
expected side but the random starts, the subnet that was drawn, and the network itself.
"""

import copy
import math
from dataclasses import replace

import pytest
import torch

from rbench.attacks._ball import Ball
from rbench.recipe import Awp, Ews, InnerAttack, Optimiser
from rbench.rng import Draws
from rbench.training.batches import Batch
from rbench.training.setting import prepare
from rbench.training.step import step
from rbench.types import Call, Threat

THREAT = Threat("linf", "24/255")
EPS, LENGTH, LR, MOMENTUM, DECAY = 24 / 255, 12 / 255, 0.1, 0.9, 5e-4
OBJECTIVES = {
    "standard": (Call("rbench.training.objectives:standard"), None),
    "at": (Call("rbench.training.objectives:adversarial"), InnerAttack(THREAT, steps=3, rel_step="1/2")),
    "half": (
        Call("rbench.training.objectives:adversarial", {"gamma": 0.5}),
        InnerAttack(THREAT, steps=3, rel_step="1/2", mode="eval"),
    ),
    "trades": (
        Call("rbench.training.objectives:trades", {"beta": 6.0}),
        InnerAttack(THREAT, steps=3, rel_step="1/2", loss="kl", start="normal", mode="eval"),
    ),
}


def log_softmax(z):
    z = z - z.max(1, keepdim=True).values
    return z - z.exp().sum(1, keepdim=True).log()


def cross_entropy(z, y):
    return -sum(log_softmax(z)[index, label] for index, label in enumerate(y.tolist())) / len(y)


def kl(p, q):
    """KL(softmax(p) || softmax(q)), averaged over the batch."""
    logs = log_softmax(p)
    return (logs.exp() * (logs - log_softmax(q))).sum() / len(p)


def attacked(model, name, x, y, rng):
    """PGD written out for three steps of half the radius."""
    net = copy.deepcopy(model).train(name == "at")
    point = Ball(x, THREAT).random(rng, 0) if name != "trades" else x + 1e-3 * rng.normal(x.shape[1:], dtype=x.dtype)
    for _ in range(3):
        point = point.clamp(0, 1).detach().requires_grad_()
        loss = kl(net(x).detach(), net(point)) if name == "trades" else cross_entropy(net(point), y)
        (grad,) = torch.autograd.grad(loss, point)
        moved = point + LENGTH * torch.sign(grad)
        point = torch.maximum(torch.minimum(moved, x + EPS), x - EPS).clamp(0, 1)
    return point.detach()


def losses(name, net, views, y, ews, subnet):
    """The objective, and what the subnet adds: lam times each view's share of the divergence or of cross-entropy."""
    z = [net(view) for view in views]
    whole = {
        "standard": lambda: cross_entropy(z[0], y),
        "at": lambda: cross_entropy(z[0], y),
        "half": lambda: 0.5 * cross_entropy(z[0], y) + cross_entropy(z[1], y),
        "trades": lambda: cross_entropy(z[0], y) + 6 * kl(z[0], z[1]),
    }[name]()
    extra = torch.zeros(())
    if ews is not None:
        shares = {"standard": [1], "at": [1], "half": [0.5, 1], "trades": [1, 6]}[name]
        for share, view, teacher in zip(shares, views, z, strict=True):
            student = net(view, subnet)
            taught = cross_entropy(student, y) if ews.loss == "ce" else kl(teacher.detach(), student)
            extra = extra + ews.lam * share * taught
    return whole, extra


def by_hand(setting, name, x, y, samples):
    """The weights and momenta after one update."""
    net, recipe = copy.deepcopy(setting.model), setting.recipe
    rng = Draws(setting.seed, "train/attack/5", samples)
    views = [x] if name in ("standard", "half", "trades") else []
    if name != "standard":
        views.append(attacked(net, name, x, y, rng))
    net.train()
    subnet = setting.enhancer.subnet(net, 5, 7) if recipe.ews else None
    subnet = [type(mask)(mask.paths.double(), mask.channels.double()) for mask in subnet] if subnet else None
    shift = {}
    if recipe.awp is not None and recipe.awp.warmup <= 5:
        loss, _ = losses(name, net, views, y, None, None)
        named = dict(net.named_parameters())
        grads = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
        for key, weight in named.items():
            if weight.dim() > 1:
                length = math.sqrt((weight.detach() ** 2).sum()) / math.sqrt((grads[key] ** 2).sum())
                shift[key] = recipe.awp.gamma * length * grads[key]
        with torch.no_grad():
            for key, value in shift.items():
                named[key] += value
    loss, extra = losses(name, net, views, y, recipe.ews, subnet)
    named = dict(net.named_parameters())
    grads = torch.autograd.grad(loss + extra, list(named.values()))
    weights = {}
    for (key, weight), grad in zip(named.items(), grads, strict=True):
        weights[key] = weight - LR * (grad + DECAY * weight) - shift.get(key, 0)
    return weights, loss.item(), extra.item()


CASES = [(name, awp, ews) for name in OBJECTIVES for awp in (None, "awp", "cold") for ews in (None, "kl", "ce")]


@pytest.mark.parametrize(("name", "awp", "ews"), CASES)
def test_one_update_is_the_one_by_hand(card, plain, name, awp, ews):
    objective, attack = OBJECTIVES[name]
    recipe = replace(
        plain,
        epochs=10,
        objective=objective,
        attack=attack,
        awp=Awp(0.01, warmup=6 if awp == "cold" else 0) if awp else None,
        ews=Ews(lam=0.7, loss=ews) if ews else None,
        optimiser=Optimiser(lr=LR, momentum=MOMENTUM, weight_decay=DECAY),
    )
    setting = prepare(card, recipe, 3)
    setting.model.double()
    with torch.no_grad():  # running statistics that are not the initial ones
        for _ in range(3):
            setting.model.train()(torch.rand(20, 3, 32, 32).double())
    ids = setting.fitted[:12]
    x = torch.from_numpy(setting.data.images(ids)).double() / 255
    y, samples = torch.from_numpy(setting.data.labels[ids]), torch.from_numpy(ids)
    expected, loss, extra = by_hand(setting, name, x, y, samples)
    found = step(setting, 5, 7, [Batch(x, y, samples)], 12)
    for key, value in setting.model.named_parameters():
        assert torch.allclose(value, expected[key], rtol=0, atol=1e-9), key
    assert found[0].item() == pytest.approx(12 * loss, abs=1e-6)
    assert found[1].item() == pytest.approx(12 * extra, abs=1e-6)
    assert found[3].item() == 12
    assert (extra > 0) == (ews is not None)


def test_gradients_do_not_stay_for_the_next_step(card, recipe):
    setting = prepare(card, replace(recipe, awp=Awp(0.01)), 0)
    ids = setting.fitted[:10]
    x = torch.from_numpy(setting.data.images(ids)).float() / 255
    step(setting, 0, 0, [Batch(x, torch.from_numpy(setting.data.labels[ids]), torch.from_numpy(ids))], 10)
    assert all(parameter.grad is None for parameter in setting.model.parameters())
