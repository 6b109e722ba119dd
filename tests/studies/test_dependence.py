"""Analyses of parts of networks: what layers know of each other, and how far two networks are apart."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rbench import analysis, studies
from rbench.analysis.dependence import dependence, outputs
from rbench.analysis.distance import distance
from rbench.analysis.measured import measured
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import UsageError
from rbench.statistics.information import class_conditional


class Chain(nn.Module):
    """Three linear layers of one unit each: what the first puts out, doubled; then its sign."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 1), nn.Linear(1, 1), nn.Linear(1, 2)
        with torch.no_grad():
            for layer, weight in ((self.first, [[1.0, 0.0]]), (self.second, [[2.0]]), (self.third, [[1.0], [-1.0]])):
                layer.weight.copy_(torch.tensor(weight))
                layer.bias.zero_()

    def forward(self, x):
        return self.third(torch.sign(self.second(self.first(x))))


def signs(count, flipped=0.0):
    """Samples whose first coordinate is -1 or 1, in two classes of the other's making."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.choice([-1.0, 1.0], (count, 2))).float()
    return x, torch.from_numpy((rng.random(count) < 0.5).astype(np.int64))


def test_layers_that_copy_a_bit_share_a_bit():
    """Given the class, which says nothing of it, each layer holds the very bit of the one before."""
    model, (x, y) = Chain(), signs(2000)
    rows = list(measured(dependence(model, x[:1]), {"clean": [(x[:1200], y[:1200]), (x[1200:], y[1200:])]}))
    assert [(row["layer"], row["parent"], row["child"]) for row in rows] == [
        (1, "first", "second"),
        (2, "second", "third"),
    ]
    assert all(row["bits"] == pytest.approx(1, abs=0.01) and row["doubt"] == "" for row in rows)
    told = list(measured(dependence(model, x[:1]), {"clean": [(x, (x[:, 0] > 0).long())]}))
    assert all(row["bits"] == pytest.approx(0, abs=0.01) for row in told)  # the class says it all


def test_outputs_are_those_of_the_layers_before_norms_and_activations(small_net):
    x = torch.rand(6, 3, 32, 32)
    small_net.train()
    with torch.no_grad():
        stem, logits = outputs(small_net, ["stem", "classifier"], [x[:4], x[4:]])
        expected = small_net.eval()(x)
        assert torch.allclose(stem, small_net.stem(small_net.normalise(x)).flatten(1), atol=1e-6)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert not any(module._forward_hooks for module in small_net.modules())


def test_the_last_layers_and_the_published_estimate(small_net):
    x, y = torch.rand(60, 3, 32, 32), torch.arange(60) % 2
    variants = dependence(small_net, x[:1], last=2, published=True, seed=3)
    rows = list(measured(variants, {"clean": [(x, y)]}))
    assert [row["child"] for row in rows] == ["blocks.2.shortcut", "classifier"]
    both = outputs(small_net, ["blocks.2.shortcut", "classifier"], [x])
    expected = class_conditional(*both, y, published=True, seed=3)
    assert rows[1]["bits"] == expected.bits
    assert rows[1]["ceiling"] == pytest.approx(math.log2(30))
    assert "30 samples are too few" in rows[1]["doubt"]
    assert len(dependence(small_net, x[:1])) == 9
    for last in (0, 10):
        with pytest.raises(UsageError, match=rf"last = {last} must be from 1 to 9"):
            dependence(small_net, x[:1], last=last)


def test_a_pair_by_hand():
    """The other network differs by 3 and 4 in the last layer, and has the opposite predictions."""
    x, y = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1])
    model, other = Chain(), Chain()
    with torch.no_grad():
        model.third.weight.copy_(torch.tensor([[-2.0], [3.0]]))
    shown = {"clean": [(x, y)]}
    (variant,) = distance(model, x[:1], {"other": other}.__getitem__, lambda _network: shown, against="other", f_b=1)
    (row,) = measured([variant], shown)
    assert (row["norm_f_a"], row["norm_f_b"]) == (0, 5)
    assert row["relative"] == pytest.approx(5 / math.sqrt(2))
    assert (row["error"], row["against_error"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert row["difference"] == pytest.approx(1 / 3)
    p, q = 1 / (1 + math.exp(5)), 1 / (1 + math.exp(-2))  # of the true class where the one errs and the other does not
    assert row["confidence_difference"] == pytest.approx((2 * p + 1 - p - (2 * q + 1 - q)) / 3)
    (whole,) = distance(model, x[:1], {"other": other}.__getitem__, lambda _network: shown, against="other", f_b=2)
    assert whole.labels["relative"] == pytest.approx(5 / math.sqrt(2 + 4))


def test_networks_that_are_not_alike_have_no_distance(small_net):
    load = {"other": Chain()}.__getitem__
    with pytest.raises(UsageError, match="'other' has other weights than the model"):
        distance(small_net, torch.zeros(1, 3, 32, 32), load, lambda _network: {}, against="other", f_b=1)


def test_the_new_analyses_are_found():
    assert {"dependence", "distance"} <= set(analysis.names())


def test_dependence_and_distance_by_the_command_line(tmp_path, capsys):
    catalog = Catalog.find()
    file, _ = catalog.weights(catalog.model("standard-digits"))
    words = ["--model", f"at-digits@{file}", "--model", "at-digits", "--suite", "digits-linf", "--limit", "100"]
    options = ["--option", "against=at-digits", "--option", "f_b=4"]
    assert command(["analyse", "distance", *words, *options, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert command(["analyse", "dependence", *words, "--option", "last=1", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    pairs = pd.read_csv(tmp_path / "distance.csv")
    assert list(pairs.condition) == ["clean", "corrupted", "adversarial"] * 2
    assert (pairs.difference[3:] == 0).all()
    assert (pairs.norm_f_b[3:] == 0).all()
    own, robust = (safely(catalog, name) for name in ("standard-digits", "at-digits"))
    late = [name for name in own if name.startswith(("blocks.2.conv", "blocks.2.bn2", "blocks.2.short", "bn.", "class"))]  # fmt: skip # noqa: E501
    gaps = [own[name] - robust[name] for name in late if "running" not in name and "num_batches" not in name]
    assert pairs.norm_f_b[0] == pytest.approx(math.sqrt(sum(float((gap**2).sum()) for gap in gaps)), rel=1e-4)
    shared = pd.read_csv(tmp_path / "dependence.csv")
    assert list(shared.child.unique()) == ["classifier"]
    assert shared.doubt.str.contains("too few").all()  # 100 images are about 10 of a class
    assert f"6 of 6 numbers are in doubt, such as: {shared.doubt[shared.null.idxmax()]}" in told
    for name in ("distance", "dependence"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (tmp_path / f"{name}.pdf").read_bytes()[:4] == b"%PDF"


def safely(catalog, name):
    import safetensors.torch

    return safetensors.torch.load_file(catalog.weights(catalog.model(name))[0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("distance", {"f_b": 4}, "the argument 'against' is missing"),
        ("distance", {"f_b": 4, "against": "at-digit"}, "no model named 'at-digit'"),
        ("distance", {"f_b": 10, "against": "at-digits"}, "f_b cannot be the last 10 of the 10 layers"),
        ("dependence", {"last": 0}, "last = 0 must be from 1 to 9"),
        ("dependence", {"x": 0}, "no argument named 'x'"),
    ],
)
def test_mistakes_in_options_are_named(name, options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        studies.analyse(name, ["at-digits"], "digits-linf", limit=4, out=tmp_path, options=options)
