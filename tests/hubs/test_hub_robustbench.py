"""RobustBench's zoo through its own package: a hand-made one here, the real one where it is installed."""

import importlib
import sys

import pytest
import torch
from caches import installed, named, suite_of

from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.hubs import robustbench as adapter
from rbench.hubs.installed import own_files

FILES = {
    "__init__.py": "from autoattack import AutoAttack\nfrom autoattack.state import EvaluationState\n",
    "model_zoo/__init__.py": """
from enum import Enum
from torch import nn
class D(Enum):
    cifar_10 = "cifar10"
    cifar_100 = "cifar100"
class T(Enum):
    Linf = "Linf"
    L2 = "L2"
def net(classes):
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, classes))
one, many = {"model": net(10), "gdrive_id": "x"}, {"model": net(10), "gdrive_id": ["x", "y"]}
model_dicts = {
    D.cifar_10: {T.Linf: {"Both2020": one, "Deck2021": many}, T.L2: {"Both2020": one, "Only2020": one}},
    D.cifar_100: {T.Linf: {"Both2020": {"model": net(100), "gdrive_id": "x"}}},
}
""",
    "utils.py": """
import torch
from pathlib import Path
from robustbench.model_zoo import D, T, model_dicts
def load_model(name, folder, dataset, threat):
    print("noise")
    model = model_dicts[D(dataset)][T(threat)][name]["model"]()
    model.load_state_dict(torch.load(Path(folder) / dataset / threat / f"{name}.pt"))
    return model.eval()
""",
}
TIMM = {"__init__.py": "def is_model(name):\n    return False\n"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package robustbench on the path, in place of any that is installed; its folder of weights is `models`."""
    pytest.importorskip("pyautoattack")
    root = tmp_path / "site"
    folder = installed(root, "robustbench", FILES, ["timm ==1.0.9"])
    installed(root, "timm", TIMM)
    monkeypatch.syspath_prepend(str(root))
    before = {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in ("robustbench", "timm")
    }
    monkeypatch.setenv("RBENCH_MODELS", str(tmp_path / "models"))
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] in ("robustbench", "timm")]:
        del sys.modules[name]
    sys.modules.update(before)


def weights(root, place, name="Both2020", classes=10):
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, classes))
    folder = root / "models" / place
    folder.mkdir(parents=True)
    torch.save(net.state_dict(), folder / f"{name}.pt")
    return net


def suite(name):
    return Catalog.find().suite(name)


def test_a_model_of_the_suites_dataset_and_threat_is_loaded_by_the_package_itself(package, tmp_path, capsys):
    net = weights(tmp_path, "cifar10/L2")
    call = adapter.call("Both2020", "cifar10/L2", None)
    assert call.args == {"name": "Both2020", "dataset": "cifar10", "threat": "L2"}
    subject = named("robustbench:Both2020@cifar10/L2")
    assert subject.name == "robustbench-Both2020-cifar10-L2"
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(subject.load()(x), net(x))
    assert subject.provenance["package"] == "robustbench 1.0, timm 1.0"
    assert len(subject.provenance["files"]["Both2020.pt"]) == 64
    assert capsys.readouterr().out == ""  # the package prints, and stdout is for scores
    assert "autoattack" not in sys.modules  # the alias was for its import only


@pytest.mark.parametrize(
    ("name", "suite", "place"),
    [
        ("Both2020", "cifar10-linf", ("cifar10", "Linf")),
        ("Both2020", "cifar10-l2", ("cifar10", "L2")),
        ("Both2020", "cifar100-linf", ("cifar100", "Linf")),
        ("Only2020", "cifar10-linf", ("cifar10", "L2")),
    ],
)
def test_of_several_the_one_of_the_suite_is_meant(package, name, suite, place):
    places = [key for key, models in adapter._zoo().items() if name in models]
    assert adapter._meant(name, places, Catalog.find().suite(suite)) == place


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Bothe2020", r"no model named 'Bothe2020' in robustbench. Did you mean 'Both2020'\?"),
        ("Only2020@cifar10/Linf", r"no model named 'Only2020' in robustbench cifar10/Linf.*It is in cifar10/L2\."),
        (
            "Both2020@cifar10/Linff",
            "robustbench has no 'cifar10/Linff'; it has cifar10/Linf, cifar10/L2, cifar100/Linf",
        ),
        ("Both2020", "several models called 'Both2020'; write robustbench:Both2020@cifar10/Linf or"),
        ("Only2020", "'robustbench:Only2020@cifar10/L2' classifies 'cifar10', suite 'digits-linf' holds 'digits'"),
    ],
)
def test_names_that_mean_nothing_or_too_much(package, name, sentence):
    with pytest.raises(UsageError, match=sentence):
        named(f"robustbench:{name}", suite_of() if name == "Only2020" else None)


def test_weights_that_are_not_there_are_asked_for_by_place(package, tmp_path):
    with pytest.raises(
        MissingError, match=rf"add --download, or put Both2020.pt .* at {tmp_path}/models/cifar10/L2/Both"
    ):
        named("robustbench:Both2020@cifar10/L2")
    with pytest.raises(MissingError, match=r"put Deck2021\.pt_m0\.pt from"):
        named("robustbench:Deck2021")


def test_a_web_page_and_weights_of_another_version_are_told_apart(package, tmp_path):
    weights(tmp_path, "cifar10/L2", classes=7)
    with pytest.raises(MissingError, match=r"cannot be read from .* by robustbench 1.0 and timm 1.0.*\(timm ==1.0.9\)"):
        named("robustbench:Both2020@cifar10/L2")
    (tmp_path / "models/cifar10/L2/Both2020.pt").write_bytes(b"\n<html>Google Drive")
    with pytest.raises(MissingError, match="is an HTML page"):
        named("robustbench:Both2020@cifar10/L2")


def test_files_that_another_wheel_wrote_over_are_noticed_before_anything_is_imported(package):
    (package / "utils.py").write_text("raise RuntimeError('imported')")
    with pytest.raises(MissingError, match=r"1 of 3 files .*\(robustbench/utils.py\).*torchattacks.*--force-reinstall"):
        named("robustbench:Both2020")
    assert "robustbench" not in sys.modules


def test_a_folder_that_another_wheel_brought_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "robustbunch").mkdir()
    (tmp_path / "robustbunch" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingError, match=r"folder robustbunch .* no such package.*the wheel of torchattacks"):
        own_files("robustbunch", "torchattacks", "robustbench")


def test_the_real_package_loads_weights_of_its_own_format(tmp_path, monkeypatch):
    pytest.importorskip("gdown")  # with the real one
    pytest.importorskip("torchdiffeq")
    zoo = adapter._zoo()
    place = ("cifar10", "corruptions")
    torch.manual_seed(0)
    net = zoo[place]["Hendrycks2020AugMix_WRN"]["model"]().eval()
    folder = tmp_path / "models" / "cifar10" / "corruptions"
    folder.mkdir(parents=True)
    torch.save({"state_dict": {f"module.{key}": value for key, value in net.state_dict().items()}}, folder / "Hendrycks2020AugMix_WRN.pt")  # fmt: skip # noqa: E501
    monkeypatch.setenv("RBENCH_MODELS", str(tmp_path / "models"))
    subject = named("robustbench:Hendrycks2020AugMix_WRN@cifar10/corruptions")
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(subject.load()(x), net(x))
    with pytest.raises(UsageError, match=r"Did you mean 'Carmon2019Unlabeled'"):
        named("robustbench:Carmon2019Unlabelled")
