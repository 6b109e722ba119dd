"""Packages that bring shelves of their own by the entry point `rbench.catalog`: written by hand, no pip."""

import hashlib
import importlib
import sys

import pytest
import torch
from safetensors.torch import save

import rbench
from rbench import api
from rbench.catalog import Catalog, resolve, source_digest
from rbench.cli import run
from rbench.errors import MissingError
from rbench.plugins import plugins

NETS = """
import torch
from torch import nn

class Prior(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(classes))
    def forward(self, x):
        return self.bias + x.flatten(1).mean(1, keepdim=True) * torch.arange(len(self.bias)).eq(7)

def prior(classes: int) -> nn.Module:
    return Prior(classes)
"""
ATTACKS = """
def brighter(model, x, y, threat, *, rng, share: float = 1.0):
    return (x + share * threat.radius).clamp(0, 1)
"""
MODEL = """
title = "Their prior"
dataset = "digits"
[arch]
use = "{package}.nets:prior"
args = {{ classes = 10 }}
"""
SUITE = """
version = 1
title = "theirs"
dataset = "digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
threat = {{ norm = "linf", eps = "1/2" }}
[probes.clean]
[probes.brighter]
attack = {{ use = "{package}.attacks:brighter", args = {{ share = 1.0 }} }}
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.brighter]
use = "rbench.metrics:accuracy"
of = ["brighter"]
"""
TABLE = 'title = "Their table"\nmodels = ["their-prior"]\ncolumns = ["their-suite:clean", "their-suite:brighter"]\n'


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a package with an entry point and put it on the path; `files` are further ones."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(package, files, init=""):
        for name, content in {"__init__.py": init, **files}.items():
            path = tmp_path / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        info = tmp_path / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[rbench.catalog]\n{package} = {package}\n")
        importlib.invalidate_caches()
        return tmp_path / package

    yield write
    for name in [name for name in sys.modules if name.startswith(("theirs_", "broken_"))]:
        del sys.modules[name]


def whole(package):
    bias = torch.full((10,), -0.3)
    bias[3] = 0.0
    weights = save({"bias": bias})
    return {
        "nets.py": NETS, "attacks.py": ATTACKS, "model_zoo/their-prior.toml": MODEL.format(package=package),
        "model_zoo/weights/their-prior.safetensors": weights,
        "model_zoo/weights.lock": f'their-prior = "{hashlib.sha256(weights).hexdigest()}"\n',
        "suites/their-suite.toml": SUITE.format(package=package), "reports/their-table.toml": TABLE,
    }  # fmt: skip


def test_a_plugin_brings_a_model_an_attack_a_suite_and_a_table(plugin):
    plugin("theirs_one", whole("theirs_one"))
    catalog = Catalog.find()
    run = rbench.evaluate("their-prior", "their-suite", limit=20, catalog=catalog)
    data = rbench.catalog.bind(catalog.suite("their-suite").data)()
    images, labels = torch.from_numpy(data.images(range(20))).float() / 255, data.labels[:20]
    # Class 3 has the logit 0, class 7 the mean of the image less 0.3: the attack makes 7 of every 3.
    assert (images.mean((1, 2, 3)) < 0.3).any()
    light, lighter = ((images + by).clamp(0, 1).mean((1, 2, 3)).numpy() > 0.3 for by in (0, 0.5))
    for name, sevens in (("clean", light), ("brighter", lighter)):
        assert run.scores[name].value == ((labels == 7) & sevens | (labels == 3) & ~sevens).mean()
    assert run.scores["clean"].value != run.scores["brighter"].value
    text = api.table("their-table", limit=20, catalog=catalog, form="csv")
    assert f"{100 * run.scores['brighter'].value:.1f}" in text
    manifest = (run.folder / "manifest.json").read_text()
    assert "theirs_one.attacks:brighter" in manifest  # with the digest of its source
    assert "theirs_one.nets:prior" in manifest


def test_one_that_cannot_be_imported_is_listed_as_broken_and_breaks_no_other(plugin, capsys):
    plugin("broken_one", {"suites/broken-suite.toml": SUITE.format(package="broken_one")}, "raise OSError('no libGL')")
    plugin("theirs_two", whole("theirs_two"))
    assert run(["ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (broken,) = [line for line in lines if line.startswith("plugin") and "broken_one" in line]
    assert broken.endswith("BROKEN: OSError: no libGL")
    (sound,) = [line for line in lines if line.startswith("plugin") and "theirs_two" in line]
    assert "BROKEN" not in sound
    assert any("their-suite" in line for line in lines)
    catalog = Catalog.find()
    assert catalog.suite("their-suite").name == "their-suite"
    with pytest.raises(MissingError, match=r"broken_one.attacks:brighter.*cannot be imported: OSError: no libGL"):
        rbench.evaluate("their-prior", "broken-suite", limit=4, catalog=catalog)
    for ask in (source_digest, resolve):
        with pytest.raises(MissingError, match="cannot be imported: OSError: no libGL"):
            ask("broken_one.attacks:brighter")


def test_one_whose_toml_is_wrong_or_that_is_no_package_is_said_to_be(plugin, tmp_path, capsys):
    plugin("theirs_three", {"suites/odd.toml": "version = \n"})
    info = tmp_path / "gone-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rbench.catalog]\ngone = gone_away\nsingle = hashlib\n")
    importlib.invalidate_caches()
    told = {each.name: each.error for each in plugins()}
    assert told["theirs_three"] == ""
    assert told["gone"] == "'gone_away' is no package with shelves"
    assert told["single"] == "'hashlib' is no package with shelves"
    assert run(["ls", "suites"]) == 0
    (odd,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[1:2] == ["odd"]]
    assert "BROKEN" in odd
    assert "odd.toml: not valid TOML" in odd
