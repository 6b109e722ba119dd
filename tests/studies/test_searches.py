"""A whole search of a tiny space: what is missing is made, and only that; another space is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from loopback import looped

from rbench import studies
from rbench.candidates import read, sampled
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import StoreError, UsageError
from rbench.files import sha256
from rbench.models.robnet import robnet
from rbench.report import search_plots
from rbench.training import candidate as one

CARD = """
title = "Tiny supernet"
dataset = "small"
recipe = "tiny-supernet"
[arch]
use = "rbench.models.supernet:supernet"
args = {{ C = {channels}, layers = 3, classes = 10, stem = "digits", shared = {shared} }}
"""
RECIPE = """
threads = 1
epochs = {epochs}
batch = 60
holdout = 40
data = {{ use = "{data}" }}
objective = {{ use = "rbench.training.objectives:adversarial" }}
{start}
[optimiser]
lr = 0.02
[attack]
threat = {{ norm = "linf", eps = "8/255" }}
steps = 1
mode = "train"
[selection]
threat = {{ norm = "linf", eps = "8/255" }}
steps = 2
"""
SEARCH = """
title = "Tiny search"
supernet = "tiny-supernet"
recipe = "tiny-candidate"
sample = {sample}
"""


def shelf(root, channels=2, shared="true", sample=3, more=""):
    data = f"{Path(__file__).parents[1] / 'training' / 'small.py'}:small"
    start = '[start]\nmodel = "tiny-supernet"'
    files = {
        "model_zoo/tiny-supernet.toml": CARD.format(channels=channels, shared=shared),
        "model_zoo/recipes/tiny-supernet.toml": RECIPE.format(epochs=1, data=data, start=""),
        "model_zoo/recipes/tiny-candidate.toml": RECIPE.format(epochs=1, data=data, start=start),
        "reports/searches/tiny.toml": SEARCH.format(sample=sample) + more,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Catalog.find([root])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("search")
    catalog = shelf(root / "shelf")
    return root, catalog, studies.search("tiny", runs=root / "runs", catalog=catalog)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are drawn by the first search alone."""
    monkeypatch.setattr(search_plots, "drawings", lambda *_: {})


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_candidate_starts_from_the_supernet_and_is_attacked(done):
    root, _, found = done
    frame = found.frame
    assert sorted(frame.candidate) == list(range(3))
    assert (frame.robust.diff().dropna() <= 0).all()
    supernet = safetensors.torch.load_file(root / "runs/train/tiny-supernet/seed0/weights.safetensors")
    for each in sampled(0, 3, 1):
        place = root / "runs/searches/tiny/candidates" / f"{each.index:04d}"
        start = safetensors.torch.load_file(place / "start.safetensors")
        assert np.array_equal(start["classifier.weight"], supernet["classifier.weight"])
        model = robnet(list(each.cells), 2, 3, 10, "digits")
        row = frame[frame.candidate == each.index].iloc[0]
        assert row.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert np.array_equal(read(row.cells.split(" | ")), each.bits)
        history = pd.read_csv(place / "metrics.csv")
        assert (row.clean, row.robust) == pytest.approx((history.clean[0], history.robust[0]), abs=1e-6)
        assert not np.array_equal(
            start["stem.0.weight"], safetensors.torch.load_file(place / "weights.safetensors")["stem.0.weight"]
        )
        assert min(row[f"fsp_{when}_{cell}"] for when in ("before", "after") for cell in range(3)) > 0


def test_its_report_says_what_was_measured(done):
    _, _, found = done
    best = found.frame.iloc[0]
    text = (found.folder / "README.md").read_text()
    assert text == found.text
    assert f"`{best.cells}`" in text
    assert f"{100 * best.robust:.1f} [" in text
    assert "3 candidates drawn from seed 0, 3 of them fine-tuned" in text
    assert {"density.png", "direct.pdf", "fsp.png", "best-cells.png"} <= {path.name for path in found.folder.iterdir()}
    stored = pd.read_csv(found.folder / "candidates.csv")
    assert stored.candidate.tolist() == found.frame.candidate.tolist()


def test_the_same_command_does_only_what_is_missing_and_ends_in_the_same_bytes(done, monkeypatch, undrawn):
    root, catalog, found = done
    before = contents(found.folder)
    real = one.train
    monkeypatch.setattr(one, "train", lambda *_args, **_options: pytest.fail("nothing is missing"))
    studies.search("tiny", runs=root / "runs", catalog=catalog)
    lost = found.folder / "candidates" / "0002"
    (lost / "result.json").unlink()
    (lost / "state.pt").unlink()
    trained = []
    monkeypatch.setattr(
        one, "train", lambda card, *args, **options: trained.append(card.name) or real(card, *args, **options)
    )
    studies.search("tiny", runs=root / "runs", catalog=catalog, jobs=1)
    assert trained == ["candidate 2"]
    after = contents(found.folder)
    moving = {name for name in after if Path(name).name in ("state.pt", "metrics.csv", "result.json", "curve.png")}
    moving.add("README.md")  # which links no figures now
    assert {name for name in after if after[name] != before.get(name)} <= moving  # these tell of seconds
    kept = [json.loads(text[f"candidates/0002/result.json"]) for text in (before, after)]  # noqa: F541
    assert {**kept[0], "seconds": 0} == {**kept[1], "seconds": 0}


def test_another_space_is_refused_and_can_be_begun_anew(done, tmp_path, undrawn):
    root, _, found = done
    shutil.copytree(root / "runs/searches/tiny/candidates", tmp_path / "runs/searches/tiny/candidates")
    with pytest.raises(StoreError, match="belongs to another run: its space"):
        studies.search("tiny", runs=tmp_path / "runs", catalog=shelf(tmp_path / "shelf", channels=3), sample=1)
    assert sha256(tmp_path / "runs/searches/tiny/candidates/0000/result.json") == sha256(
        found.folder / "candidates/0000/result.json"
    )
    anew = studies.search(
        "tiny", runs=tmp_path / "runs", catalog=Catalog.find([tmp_path / "shelf"]), sample=1, fresh=True
    )
    assert len(anew.frame) == 1
    assert "too few or all alike" in anew.text


def test_a_filter_fine_tunes_those_of_least_distance_alone(tmp_path, undrawn):
    catalog = shelf(tmp_path, shared="false", sample=4, more="filter = { keep = 0.5, cells = [-1] }")
    found = studies.search("tiny", runs=tmp_path / "runs", catalog=catalog, jobs=2)
    tuned = found.frame[found.frame.robust.notna()]
    left = found.frame[found.frame.robust.isna()]
    assert len(tuned) == len(left) == 2
    assert tuned.fsp_before_2.max() <= left.fsp_before_2.min()
    assert all(cells.count("|") == 2 for cells in found.frame.cells)
    assert "Only the 50% of least distance before fine-tuning in cells -1" in found.text


def test_what_cannot_be_searched_is_refused(done, tmp_path, capsys):
    root, catalog, _ = done
    with pytest.raises(UsageError, match="sample = 4 must be from 1 to 3"):
        studies.search("tiny", runs=root / "runs", catalog=catalog, sample=4)
    shelf(tmp_path)
    (tmp_path / "reports/searches/tiny.toml").write_text(
        SEARCH.format(sample=2).replace("tiny-candidate", "tiny-supernet")
    )
    with pytest.raises(UsageError, match="must start from 'tiny-supernet'"):
        studies.search("tiny", runs=root / "runs", catalog=Catalog.find([tmp_path]))
    (tmp_path / "reports/searches/tiny.toml").write_text(
        SEARCH.format(sample=2).replace('"tiny-supernet"', '"at-digits"')
    )
    with pytest.raises(UsageError, match="'at-digits' is no supernet"):
        studies.search("tiny", runs=root / "runs", catalog=Catalog.find([tmp_path]))
    assert command(["search", "tiny", "--dry-run", "--runs", str(root / "runs"), "--catalog", str(root / "shelf")]) == 0
    assert "3 finished" in capsys.readouterr().out


def test_a_candidate_that_is_trained_elsewhere_leaves_the_same_files_here(done, tmp_path, monkeypatch, undrawn):
    root, catalog, _ = done
    grounds = looped(monkeypatch, tmp_path / "store")
    shutil.copytree(root / "runs", tmp_path / "runs")
    candidates = tmp_path / "runs/searches/tiny/candidates"
    before = contents(candidates)
    shutil.rmtree(candidates / "0001")
    (candidates / "0002/result.json").unlink()
    (candidates / "0002/state.pt").unlink()
    studies.search("tiny", runs=tmp_path / "runs", catalog=catalog, engine="ray", jobs=2)
    after = contents(candidates)
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in after if Path(name).suffix == ".safetensors")
    assert grounds[0].number == 2 + 3
    assert list((tmp_path / "store").rglob("weights.safetensors"))  # the supernet's
