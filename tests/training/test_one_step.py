"""Details of a step that nothing larger would show: streams, boundaries, who learns from what."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rbench.errors import UsageError
from rbench.recipe import Augment, Awp, Ews, InnerAttack, Optimiser
from rbench.training import loop, selection
from rbench.training import step as stepping
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import subnet_loss
from rbench.training.objectives import adversarial, trades
from rbench.training.pipeline import Pipeline
from rbench.training.ranks import ALONE
from rbench.training.setting import prepare
from rbench.types import Call, Threat

THREAT = Threat("linf", "24/255")


@pytest.fixture
def robust(recipe):
    """TRADES with enhanced subnets."""
    attack = InnerAttack(THREAT, steps=2, rel_step="1/2", loss="kl", start="normal", mode="eval")
    return replace(recipe, objective=Call("rbench.training.objectives:trades"), attack=attack)


def batch_of(setting, epoch=0, count=12):
    return Pipeline(setting.data, setting.recipe, setting.seed)[epoch, setting.fitted[:count]]


def test_adversarial_images_are_what_counts(recipe, robust):
    assert adversarial(recipe=recipe).watched == 0  # the only view
    assert adversarial(recipe=recipe, gamma=0.5).watched == 1
    assert trades(recipe=robust).watched == 1
    for objective, wanted in ((adversarial, {"gamma": -1.0}), (trades, {"beta": 0.0})):
        with pytest.raises(UsageError, match="must be"):
            objective(recipe=robust, **wanted)


def test_the_controller_learns_on_adversarial_images_as_they_are_seen(card, robust, monkeypatch):
    setting = prepare(card, replace(robust, ews=Ews(every_steps=2, subnets=2)), 0)
    seen = []
    monkeypatch.setattr(
        setting.enhancer, "search", lambda _m, parts, _r, epoch, turn: seen.append((parts, epoch, turn))
    )
    batch = batch_of(setting)
    for iteration in range(4):
        stepping.step(setting, 1, iteration, [batch], 12)
    assert [(epoch, turn) for _, epoch, turn in seen] == [(1, 0), (1, 2)]
    ((x, y),) = seen[0][0]
    assert torch.equal(y, batch.y)
    assert 0 < (x - batch.x).abs().max() <= 24 / 255 + 1e-6


def test_what_the_controller_learns_in_steps_is_reported(card, robust, tmp_path):
    recipe = replace(robust, epochs=2, ews=Ews(every_steps=2, subnets=2))
    result = loop.train(card, recipe, out=tmp_path, progress=False)
    assert all(0 <= row.subnets <= 1 for row in result.rows)


def test_attacks_differ_by_epoch_and_seed(card, recipe):
    def attacked(epoch, seed=0):
        setting = prepare(card, replace(recipe, augment=Augment()), 0)
        part = stepping._seen(replace(setting, seed=seed), epoch, batch_of(setting), 12)
        return part.views[0]

    assert torch.equal(attacked(0), attacked(0))
    assert not torch.equal(attacked(0), attacked(1))
    assert not torch.equal(attacked(0), attacked(0, seed=1))


def test_subnets_of_search_and_training_are_drawn_apart(card, recipe, monkeypatch):
    from rbench.training.ews import search as searching

    streams = []
    monkeypatch.setattr(
        searching, "_stream", lambda _seed, name, index: streams.append(name) or original(0, name, index)
    )
    original = lambda seed, name, index: searching.Draws(seed, name, torch.tensor([index]))  # noqa: E731
    setting = prepare(card, recipe, 0)
    setting.enhancer.subnet(setting.model, 3, 0)
    setting.enhancer.search(setting.model, [(batch_of(setting).x, batch_of(setting).y)], ALONE, 3, 0)
    assert streams == ["ews/train/3", "ews/search/3", "ews/search/3"]


@pytest.mark.parametrize(("epoch", "moved"), [(1, False), (2, True)])
def test_weights_are_perturbed_from_the_epoch_after_the_warm_up(card, plain, monkeypatch, epoch, moved):
    entered = []
    original = stepping.perturbed
    monkeypatch.setattr(stepping, "perturbed", lambda *given: entered.append(given[1]) or original(*given))
    setting = prepare(card, replace(plain, awp=Awp(0.01, warmup=2)), 0)
    stepping.step(setting, epoch, 0, [batch_of(setting)], 12)
    assert entered == ([0.01] if moved else [])


def test_the_subnet_is_chosen_at_the_weights_as_they_are(card, plain, monkeypatch):
    recipe = replace(plain, awp=Awp(0.5), ews=Ews(strategy="l1-norm"))
    setting = prepare(card, recipe, 0)
    expected = setting.enhancer.subnet(setting.model, 0, 0)
    used = []
    original = stepping.subnet_logits
    monkeypatch.setattr(stepping, "subnet_logits", lambda m, x, subnet: used.append(subnet) or original(m, x, subnet))
    stepping.step(setting, 0, 0, [batch_of(setting)], 12)
    assert all(torch.equal(a.channels, b.channels) for a, b in zip(used[0], expected, strict=True))


def test_labels_are_smoothed_for_subnets_too(card, plain):
    teacher, student, y = torch.zeros(2, 10), torch.randn(2, 10), torch.tensor([1, 2])
    smooth = subnet_loss(Ews(loss="ce"), teacher, student, y, 0.2)
    assert smooth.item() == pytest.approx(F.cross_entropy(student, y, label_smoothing=0.2).item())
    setting = prepare(card, replace(plain, label_smoothing=0.2, ews=Ews(loss="ce")), 0)
    batch = batch_of(setting)
    subnet = setting.enhancer.subnet(setting.model, 0, 0)
    logits = [setting.model(batch.x)]
    found = stepping.distillation_of(setting, stepping.Part((batch.x,), batch.y, 1.0), logits, subnet)
    students = stepping.subnet_logits(setting.model, batch.x, subnet)
    assert found.item() == pytest.approx(F.cross_entropy(students, batch.y, label_smoothing=0.2).item(), rel=1e-5)


def test_the_optimisers_are_those_of_the_paper(card, recipe):
    enhancer = Enhancer(prepare(card, recipe, 0).model, Ews(), 0)
    assert enhancer.optimiser.defaults["betas"] == (0.5, 0.999)
    assert enhancer.optimiser.defaults["lr"] == 3e-4
    sgd = prepare(card, replace(recipe, optimiser=Optimiser(lr=0.2)), 0).optimiser.defaults
    assert (sgd["momentum"], sgd["lr"], sgd["weight_decay"]) == (0.9, 0.2, 5e-4)


def test_held_out_images_are_attacked_alike_for_every_seed(card, recipe, monkeypatch):
    streams = []
    original = selection.Draws
    monkeypatch.setattr(selection, "Draws", lambda *given: streams.append(given[:2]) or original(*given))
    for seed in (0, 5):
        selection.measure(prepare(card, recipe, seed))
    assert set(streams) == {(0, "train/selection")}


def test_a_search_under_dropout_is_a_function_of_seed_and_epoch(card, recipe):
    card = replace(card, arch=Call(card.arch.use, {**card.arch.args, "dropout": 0.5}))

    def learnt(epoch, other):
        setting = prepare(card, replace(recipe, attack=replace(recipe.attack, mode="train")), 0)
        torch.manual_seed(other)
        stepping.search(setting, setting.enhancer, epoch)
        return torch.cat([p.detach().flatten() for p in setting.enhancer.controller.parameters()])

    assert torch.equal(learnt(1, 0), learnt(1, 7))
    assert not torch.equal(learnt(1, 0), learnt(2, 0))
