"""Cards whose network is of another collection: what becomes of them where its package is not installed, and is."""

import json

import pytest
import torch
from cards import CARDS, CATALOG

from rbench import api, hubs
from rbench.catalog import bind
from rbench.cli import run as command
from rbench.errors import MissingError
from rbench.models.load import load_model
from rbench.sizes import size_of
from rbench.types import Call

NAME = "mtard-repvgg-a2-cifar10"
REMEDY = "the package 'timm' is not installed; run: pip install 'rbench[timm]'"


@pytest.fixture
def bare(monkeypatch):
    """Nothing of other collections is installed."""
    monkeypatch.setattr(hubs, "find_spec", lambda _package: None)


def test_whatever_lists_works_without_the_package(bare, capsys):
    assert command(["show", NAME, "--size"]) == 0
    shown = json.loads(capsys.readouterr().out)["model"]
    assert shown["arch"]["use"] == "rbench.hubs.timm:network"
    assert shown["parameters"] == f"not counted: {REMEDY}"
    assert "RepVGG-A2" in api.table("awnet-table1")
    assert command(["plan", "--table", "awnet-table1"]) == 0
    assert f"rbench train {NAME}" in capsys.readouterr().out


def test_parameters_are_counted_in_the_unit_of_the_tables_too(tmp_path):
    assert size_of(CARDS["at-digits"]) == "77,850 (0.1 x 2^20)"
    assert size_of(CARDS["mtard-resnet34-cifar10"]) == "21,282,122 (20.3 x 2^20)"  # 20.3 is printed
    assert "Parameters: 77,850 (0.1 x 2^20)" in api.card("at-digits", size=True, runs=tmp_path)


def test_whoever_builds_is_told_what_to_install(bare, capsys):
    with pytest.raises(MissingError) as error:
        load_model(CARDS[NAME], None)
    assert str(error.value) == REMEDY
    assert command(["train", NAME, "--dry-run"]) == 4
    assert REMEDY in capsys.readouterr().err


def test_the_network_takes_images_of_32_pixels_as_they_are():
    """From [0, 1], without standardisation or scaling; five strides of 2 leave one place for the last stage."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = bind(CATALOG.model(NAME).arch)()
    torch.manual_seed(0)
    oracle = timm.models.byobnet.repvgg_a2(num_classes=10).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(net.eval()(x), oracle(x))
    assert oracle.forward_features(x).shape == (2, 1408, 1, 1)
    assert net.train()(x).isfinite().all()


def test_a_network_of_torchvision_is_standardised_as_its_card_says():
    from torchvision.models import resnet18

    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 1.0]
    call = Call("rbench.hubs.torchvision:network", {"name": "resnet18", "classes": 7, "mean": mean, "std": std})
    torch.manual_seed(0)
    net = bind(call)().eval()
    torch.manual_seed(0)
    oracle = resnet18(num_classes=7).eval()
    x = torch.rand(2, 3, 32, 32)
    wanted = torch.stack([(x[:, i] - mean[i]) / std[i] for i in range(3)], 1)
    assert torch.equal(net(x), oracle(wanted))
    bare = Call(call.use, {"name": "resnet18", "classes": 7})
    torch.manual_seed(0)
    assert torch.equal(bind(bare)().eval()(x), oracle(x))
