import hashlib
import pickle

import pytest
import safetensors.torch
import torch

from rbench.errors import MissingError, ModelError
from rbench.files import sha256
from rbench.models.load import load_model, read_weights, state_digest
from rbench.types import Call, ModelCard

CARD = ModelCard("m", "M", Call("rbench.models.linear:linear", {"features": 4, "classes": 2}), "digits")
STATE = {"classifier.weight": torch.arange(8.0).view(2, 4), "classifier.bias": torch.ones(2)}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.safetensors"
    safetensors.torch.save_file(STATE, path)
    return path


def test_weights_come_back_to_the_bit_and_in_eval_mode(good):
    model = load_model(CARD, good, sha256(good))
    assert not model.training
    assert all(torch.equal(value, STATE[name]) for name, value in model.state_dict().items())


def test_a_plain_state_dict_of_torch_is_read_safely(tmp_path):
    torch.save(STATE, tmp_path / "w.pt")
    assert read_weights(tmp_path / "w.pt").keys() == STATE.keys()


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, tmp_path / "bomb.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.pt", "bare.pt"):
        with pytest.raises(MissingError, match=rf"{name} is not a checkpoint that can be read safely"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>", b"\n <HTML><head>", b"<?xml version='1.0'?>"])
def test_a_web_page_is_recognised_before_its_digest(tmp_path, suffix, page):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(page + b"Google Drive - Virus scan warning")
    with pytest.raises(MissingError, match="is an HTML page"):
        read_weights(path, "0" * 64)


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_file_is_recognised(good, keep):
    content = good.read_bytes()
    good.write_bytes(content[:keep])
    with pytest.raises(MissingError, match="truncated"):
        read_weights(good, hashlib.sha256(content).hexdigest())


def test_a_wrong_digest_is_refused(good):
    content = good.read_bytes()
    good.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(MissingError, match="its lock says"):
        read_weights(good, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("classifier.bias"), r"lacks key 'classifier\.bias'"),
        (lambda s: s.update(extra=torch.ones(1)), "has the unknown key 'extra'"),
        (lambda s: s.update({"classifier.bias": torch.ones(3)}), r"'classifier\.bias' has shape \[3\], not \[2\]"),
    ],
)
def test_keys_and_shapes_must_match(tmp_path, change, sentence):
    state = dict(STATE)
    change(state)
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(MissingError, match=sentence):
        load_model(CARD, tmp_path / "w.safetensors")


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(MissingError, match="no plain dictionary of tensors"):
        read_weights(tmp_path / "list.pt")
    with pytest.raises(MissingError, match="no checkpoint"):
        read_weights(tmp_path / "nothing.pt")


def test_an_architecture_that_fails_is_named():
    card = ModelCard("m", "M", Call("rbench.models.wide_resnet:wide_resnet", {"depth": 5, "widen": 1, "classes": 2, "mean": [0], "std": [1]}), "d")  # fmt: skip # noqa: E501
    with pytest.raises(ModelError, match=r"wide_resnet cannot build 'm': ValueError: depth = 5"):
        load_model(card, None)


def test_the_digest_of_a_model_without_a_file_sees_every_bit():
    model = load_model(CARD, None)
    first = state_digest(model)
    assert state_digest(model) == first
    model.classifier.bias.data[0] = torch.nextafter(model.classifier.bias.data[0], torch.tensor(10.0))
    assert state_digest(model) != first


class Scaled(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale, self.shift, self.fc = scale, torch.tensor([scale]), torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(x) * self.scale + self.shift


def test_models_with_equal_weights_but_other_structure_or_attributes_differ():
    def digest(build):
        torch.manual_seed(0)
        return state_digest(build())

    kinds = [
        lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()),
        lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh()),
        lambda: Scaled(1.0),
        lambda: Scaled(2.0),
    ]
    assert len({digest(kind) for kind in kinds}) == 4
    assert [digest(kind) for kind in kinds] == [digest(kind) for kind in kinds]
    assert digest(lambda: Scaled(1.0).train()) == digest(lambda: Scaled(1.0).eval())


def test_modules_that_differ_in_a_function_alone_are_two_models():
    class Bent(torch.nn.Module):
        def __init__(self, bend):
            super().__init__()
            self.bend = bend

        def forward(self, x):
            return self.bend(x)

    def times(factor):
        return lambda x: factor * x

    digests = [state_digest(Bent(f)) for f in (lambda x: x, lambda x: 2 * x, lambda x: -x, times(3), times(4))]
    assert len(set(digests)) == 5
    assert state_digest(Bent(times(3))) == digests[3]
