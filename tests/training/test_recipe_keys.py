"""Keys of a recipe that change the optimiser or the images of an epoch, each against what it says."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from rbench.errors import InterruptedRunError
from rbench.recipe import Optimiser
from rbench.training import loop
from rbench.training.batches import fetch
from rbench.training.setting import prepare
from rbench.training.step import step
from rbench.types import Call


def test_norms_and_biases_may_be_spared_the_decay(card, plain):
    """One step of plain gradient descent is by hand w - lr (g + decay w), and for them w - lr g."""
    optimiser = Optimiser(lr=0.1, momentum=0.0, weight_decay=0.5, decay_norms=False)
    setting = prepare(card, replace(plain, optimiser=optimiser), 0)
    before = {name: value.detach().clone() for name, value in setting.model.named_parameters()}
    for value in setting.model.parameters():
        value.grad = torch.full_like(value, 2.0)
    setting.optimiser.step()
    spared = {name for name in before if name.endswith("bias") or "bn" in name}
    assert 0 < len(spared) < len(before)
    for name, value in setting.model.named_parameters():
        decay = 0 if name in spared else 0.5
        assert torch.allclose(value, before[name] - 0.1 * (2 + decay * before[name]))
    usual = prepare(card, replace(plain, optimiser=replace(optimiser, decay_norms=True)), 0)
    (group,) = usual.optimiser.param_groups
    assert all(one is two for one, two in zip(group["params"], usual.model.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_every_group_follows_the_schedule_and_survives_an_interruption(card, plain, kind, tmp_path, monkeypatch):
    recipe = replace(plain, epochs=3, optimiser=Optimiser(lr=0.01, kind=kind, decay_norms=False))
    whole = loop.train(card, recipe, out=tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "asked_to_stop", lambda: nullcontext([True]))
        with pytest.raises(InterruptedRunError):
            loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    parts = loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    assert whole.weights.read_bytes() == parts.weights.read_bytes()


def test_a_training_may_start_on_clean_images(card, recipe):
    late = replace(recipe, ews=None, attack=replace(recipe.attack, warmup=2))
    clean = replace(late, attack=None, objective=Call("rbench.training.objectives:standard"))
    always = replace(late, attack=recipe.attack)
    states = {}
    for name, each in (("late", late), ("clean", clean), ("always", always)):
        for epoch in (1, 2):
            setting = prepare(card, each, 0)
            step(setting, epoch, 0, [fetch(setting.data, setting.fitted[:20])], 20)
            states[name, epoch] = torch.cat([value.detach().flatten() for value in setting.model.parameters()])
    assert torch.equal(states["late", 1], states["clean", 1])
    assert torch.equal(states["late", 2], states["always", 2])
    assert not torch.equal(states["clean", 2], states["always", 2])
    assert (late.full, clean.full, always.full) == (2, 0, 0)
