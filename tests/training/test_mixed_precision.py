"""Mixed precision: on a CPU as on a GPU the network runs in bfloat16, and losses and weights stay in float32."""

from dataclasses import replace

import pytest
import torch

from rbench.training import keeping, loop
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import Part, loss_of, step


@pytest.fixture
def half(recipe):
    return replace(recipe, precision="bf16")


def seen_types(model):
    types = set()
    for block in model.blocks:
        block.conv1.register_forward_hook(lambda _module, _given, output: types.add(output.dtype))
    return types


def test_the_network_runs_in_bfloat16_and_its_losses_do_not(card, half):
    setting = prepare(card, half, 0)
    types = seen_types(setting.model)
    batch = Pipeline(setting.data, half, 0)[0, setting.fitted[:12]]
    _, logits = loss_of(setting, Part((batch.x,), batch.y, 1.0))
    assert types == {torch.bfloat16}
    assert logits[0].dtype == torch.float32
    types.clear()
    step(setting, 0, 0, [batch], 12)  # attack, full network and subnet
    assert types == {torch.bfloat16}
    assert {parameter.dtype for parameter in setting.model.parameters()} == {torch.float32}


def test_it_measures_in_float32(card, half):
    setting = prepare(card, half, 0)
    types = seen_types(setting.model)
    loop.measure(setting)
    assert types == {torch.float32}


def test_it_learns_as_well_within_tolerance(card, half, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "draw", lambda *_: b"")
    full = loop.train(card, replace(half, precision="fp32"), out=tmp_path / "full", progress=False)
    mixed = loop.train(card, half, out=tmp_path / "half", progress=False)
    assert mixed.weights.read_bytes() != full.weights.read_bytes()
    for one, two in zip(full.rows, mixed.rows, strict=True):
        assert two.loss == pytest.approx(one.loss, abs=0.1)
    again = loop.train(card, half, out=tmp_path / "again", progress=False)
    assert again.weights.read_bytes() == mixed.weights.read_bytes()


def test_a_change_of_precision_is_another_training(card, half, tmp_path):
    from rbench.errors import StoreError

    loop.train(card, replace(half, epochs=1), out=tmp_path, progress=False)
    with pytest.raises(StoreError, match='another training: precision was "bf16", now its default'):
        loop.train(card, replace(half, epochs=1, precision="fp32"), out=tmp_path, progress=False)
