"""Linear read-outs: the solution against pinv, and both protocols on networks that are linear in their features."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rbench import studies
from rbench.analysis import readout as module
from rbench.analysis.asked import Asked
from rbench.analysis.readout import readout
from rbench.cli import run as command
from rbench.data.arrays import ArrayDataset
from rbench.errors import UsageError
from rbench.models import readout as solving
from rbench.models.readout import ReadOut, features, least_norm, path_of
from rbench.models.resnet import resnet
from rbench.types import Threat

THREAT = Threat("linf", "24/255")
NONE = "none"


def matrix(rows, columns, seed, rank):
    """Of a rank, if there is room for it, with singular values from 1 down to 0.1."""
    rng = np.random.default_rng(seed)
    rank = min(rank, rows, columns)
    left, right = (np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in (rows, columns))
    return torch.from_numpy(left * np.geomspace(1, 0.1, rank) @ right.T)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.integers(1, 9))
def test_the_solution_is_that_of_the_pseudoinverse(rows, columns, seed, rank):
    x, f = matrix(rows, columns, seed, rank), torch.randn(rows, 3, dtype=torch.float64)
    assert torch.allclose(least_norm(x, f), torch.linalg.pinv(x, rtol=1e-6) @ f, atol=1e-9)


def test_features_are_taken_a_few_columns_at_a_time_and_small_directions_dropped(monkeypatch):
    monkeypatch.setattr(solving, "CHUNK", 4)
    for shape in ((7, 30), (30, 7)):
        x, f = matrix(*shape, seed=1, rank=7), torch.randn(shape[0], 2, dtype=torch.float64)
        assert torch.allclose(least_norm(x, f), torch.linalg.pinv(x) @ f, atol=1e-10)
        found = least_norm(x, f, rtol=0.5)  # of 1, .68, .46, ... two stay
        assert torch.allclose(found, torch.linalg.pinv(x, rtol=0.5) @ f, atol=1e-10)
        assert not torch.allclose(found, least_norm(x, f), atol=1e-2)
    assert least_norm(torch.zeros(3, 5), torch.ones(3, 2)).abs().max() == 0


def test_the_cut_is_that_of_float32_as_in_the_authors_program():
    """A direction 1e-7 of the largest is noise there; here too, although sums are in float64."""
    x = torch.diag(torch.tensor([1.0, 1e-7])).float()
    assert least_norm(x, torch.eye(2))[1, 1] == 0
    assert torch.linalg.pinv(x)[1, 1] == 0
    assert least_norm(x, torch.eye(2), rtol=1e-8)[1, 1] == pytest.approx(1e7)


class Straight(nn.Module):
    """Logits linear in what the first convolution puts out, which the ReLU between them leaves alone: it is >= 0."""

    def __init__(self, in_place=True):
        super().__init__()
        self.first, self.relu = nn.Conv2d(3, 4, 8, 8, bias=False), nn.ReLU(inplace=in_place)
        self.second = nn.Conv2d(4, 6, 2, bias=False)
        self.last = nn.Linear(6 * 9, 10)
        self.last.bias.data.zero_()
        self.first.weight.data.abs_()

    def forward(self, x):
        return self.last(self.second(self.relu(self.first(x))).flatten(1))


def pictures(count, seed, noise=0.0):
    """Images labelled by `Straight` of seed 0, a few pixels of which are wrong for a share of the labels."""
    torch.manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        labels = straight()(pixels.float() / 255).argmax(1)
    labels[: round(noise * count)] += 1
    return ArrayDataset("pictures", 10, pixels.numpy(), (labels % 10).numpy())


def straight():
    torch.manual_seed(0)
    return Straight().eval()


def rows_of(model, count=60, threat=THREAT, fitted=90, load=None, **options):
    asked = Asked(pictures(count, 1), threat, count)
    return list(readout(model, asked, lambda: pictures(120, 2), load, fitted=fitted, **options))


def test_a_read_out_of_linear_features_is_the_network():
    """64 features, fitted to more images: lambda is exact, and so attacks on both are the same, too."""
    rows = rows_of(straight(), layers=(1,), attacks=(NONE, "pgd10"), count=80, threat=Threat("linf", "2/255"))
    assert [(row["attack"], row["protocol"]) for row in rows] == [
        (NONE, "published"), (NONE, "proper"), ("pgd10", "published"), ("pgd10", "proper"),
    ]  # fmt: skip
    assert all(row["accuracy"] == pytest.approx(row["acc_star"], abs=0.02) for row in rows)
    assert rows[0]["acc_star"] == 1
    assert 0 < rows[2]["acc_star"] < 0.9
    assert all(row["random"] < 0.5 and row["n"] == 80 for row in rows)
    assert rows[0]["low"] < 1 == rows[0]["high"]


def test_published_solves_batch_by_batch_and_means_the_matrices(monkeypatch):
    monkeypatch.setattr(module, "PUBLISHED", 25)
    monkeypatch.setattr(module, "BATCH", 10)
    model, seen = straight(), []
    monkeypatch.setattr(module, "ReadOut", lambda *given: seen.append(given) or ReadOut(*given))
    rows = rows_of(model, layers=(1,), attacks=(NONE,))
    x = torch.from_numpy(pictures(60, 1).pixels).float() / 255
    with torch.no_grad():
        known, logits = model.first(x).flatten(1), model(x)
        parts = [slice(0, 25), slice(25, 50), slice(50, 60)]
        solved = torch.stack([torch.linalg.pinv(known[part].double()) @ logits[part].double() for part in parts])
    expected = solved.mean(0)
    assert torch.allclose(seen[0][2], expected, atol=1e-6)
    right = ((known.double() @ expected).argmax(1) == logits.argmax(1)).double().mean()
    assert rows[0]["accuracy"] == pytest.approx(float(right))
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 10)))
    assert torch.equal(seen[1][2], noise)


def test_published_overstates_what_proper_finds():
    """Few images and many features: the fit to attacked test images hides that the read-out is weak."""
    published, proper = rows_of(straight(), layers=(1,), attacks=(NONE,), fitted=20, count=20)
    assert published["accuracy"] == published["acc_star"] == proper["acc_star"] == 1
    assert proper["accuracy"] < published["accuracy"]


def test_proper_is_fitted_to_training_images_and_attacks_of_the_head(monkeypatch):
    model, seen, asked_of = straight(), [], []
    monkeypatch.setattr(module, "ReadOut", lambda *given: seen.append(ReadOut(*given)) or seen[-1])

    def darker(network, x, y, threat, *, rng):
        asked_of.append(network)
        return (x - threat.radius).clamp(0, 1)

    monkeypatch.setitem(module.ATTACKS, "fgsm", darker)
    rows_of(model, layers=(1,), attacks=("fgsm",), fitted=120, count=20)
    x = torch.from_numpy(pictures(120, 2).pixels).float() / 255
    both = torch.cat([x, (x - THREAT.radius).clamp(0, 1)])
    with torch.no_grad():
        expected = torch.linalg.pinv(model.first(both).flatten(1).double()) @ model(both).double()
    assert torch.allclose(seen[2].weights, expected, atol=1e-5)
    assert asked_of == [model, model, model, seen[2]]  # test images, training ones (2 batches), then white-box


def test_gradients_flow_through_features_and_matrix():
    model, weights = straight(), torch.randn(64, 10, dtype=torch.float64)
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    ReadOut(model, ["first"], weights)(x)[:, 3].sum().backward()
    (expected,) = torch.autograd.grad((model.first(x).flatten(1).double() @ weights)[:, 3].sum(), x)
    assert torch.allclose(x.grad, expected)


def test_another_model_may_be_attacked_in_the_place_of_the_head():
    model, other, named = straight(), Straight().eval(), []
    with torch.no_grad():
        other.last.weight.neg_()
    rows = rows_of(model, layers=(1,), attacks=("fgsm",), surrogate="other", load=lambda name: named.append(name) or other)  # fmt: skip # noqa: E501
    assert named == ["other"]
    assert rows[0]["acc_star"] > rows[1]["acc_star"]  # by transfer the attack does less
    assert rows[0]["acc_star"] == rows[0]["accuracy"]


def test_features_are_raw_outputs_whatever_comes_next():
    """An activation in place would leave its own output where the convolution's was."""
    model = Straight()
    model.first.weight.data.neg_()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        found = features(model, ["first", "second"], x)
        outside = nn.functional.conv2d(x, model.first.weight, stride=8)
    assert torch.equal(found[:, :64], outside.flatten(1))
    assert found.shape == (3, 64 + 6 * 9)
    assert found[:, :64].max() < 0
    assert not any(part._forward_hooks for part in model.modules())


def test_shortcuts_are_left_out(small_net):
    x = torch.zeros(1, 3, 32, 32)
    blocks = [f"blocks.{block}.conv{index}" for block in range(3) for index in (1, 2)]
    assert path_of(small_net, x) == ("stem", *blocks, "classifier")
    other = resnet(classes=10, depths=[1, 1], widths=[4, 8], stem="digits", mean=[0.3] * 3, std=[0.3] * 3).eval()
    assert len(path_of(other, x)) == 1 + 4 + 1
    assert not any("shortcut" in name for name in path_of(other, x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (0,)}, r"layers = 0 must be from 1 to 2"),
        ({"layers": (3,)}, r"layers = 3 must be from 1 to 2"),
        ({"attacks": ("pgd",)}, r"no attack named 'pgd'.*'pgd10'"),
        ({"threat": None}, r"fgsm needs a threat"),
    ],
)
def test_what_cannot_be_asked(options, message):
    with pytest.raises(UsageError, match=message):
        rows_of(straight(), count=4, **options)
    assert len(rows_of(straight(), count=4, attacks=(NONE,), threat=None)) == 2


def test_data_and_figure_by_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTACKS", {"fgsm": module.ATTACKS["fgsm"]})
    words = ["analyse", "readout", "--model", "at-digits", "--suite", "digits-semirobust", "--limit", "12"]
    options = ["--option", "layers=[2,1]", "--option", "fitted=20", "--option", "attacks=['none','fgsm']"]
    assert command([*words, *options, "--out", str(tmp_path)]) == 0
    frame = pd.read_csv(tmp_path / "readout.csv")
    assert list(frame.columns) == [
        "model", "attack", "layers", "protocol", "acc_star", "accuracy", "low", "high", "n", "difference", "random",
    ]  # fmt: skip
    assert len(frame) == 2 * 2 * 2
    assert (frame.difference - (frame.accuracy - frame.acc_star)).abs().max() < 1e-5
    for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert (tmp_path / f"readout.{kind}").read_bytes()[:4] == start


def test_a_suite_of_data_without_a_training_split(tmp_path, monkeypatch):
    from rbench.catalog import Catalog

    suite = Catalog.find().suite("digits-semirobust")
    odd = SimpleNamespace(**{**vars(suite), "data": suite.data.__class__("rbench.data.digits:split_indices", {})})
    monkeypatch.setattr(Catalog, "suite", lambda *_: odd)
    with pytest.raises(UsageError, match="split_indices"):
        studies.analyse("readout", ["at-digits"], "digits-semirobust", limit=4, out=tmp_path)
