"""A whole study on tiny models: what is missing is made, and only that; the report says what was measured."""

import csv
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from quick import SUITE

from rbench import studies
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import MissingError, StoreError, UsageError
from rbench.planner import Variant, run_folder
from rbench.report import plot
from rbench.studies import trials
from rbench.studies.asking import Asking
from rbench.training import loop
from rbench.training.run import run_all

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import zoo

STUDY = """
title = "Tiny methods"
suite = "quick"
seeds = [0, 1, 2]
first = "worst"
notes = ["Of tiny images."]
[measures.clean]
of = ["clean"]
[measures.worst]
title = "Worst case"
of = ["clean", "first"]
how = "any"
[arms.plain]
model = "tiny-plain"
title = "Plain"
[arms.slow]
model = "tiny-plain"
preset = "slow"
against = ["plain"]
[arms.batch]
model = "tiny-plain"
override = { batch = 50 }
against = ["plain"]
[sweeps.rate]
model = "tiny-plain"
key = "optimiser.lr"
values = [0.02, 0.05]
against = "plain"
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The study, and where it was made."""
    root = tmp_path_factory.mktemp("study")
    small = Path(__file__).parents[1] / "training" / "small.py"
    shelf = zoo.write(root / "shelf", f"{small}:medium")
    (shelf / "suites").mkdir()
    suite = SUITE.format(attack="rbench.attacks.fgsm:fgsm", args="{}", norm="linf", eps="24/255")
    (shelf / "suites" / "quick.toml").write_text(suite)
    (shelf / "reports" / "studies").mkdir(parents=True)
    (shelf / "reports" / "studies" / "tiny.toml").write_text(STUDY)
    catalog = Catalog.find([shelf])
    return catalog, root, studies.study("tiny", runs=root / "runs", catalog=catalog)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are drawn by the first study alone."""
    monkeypatch.setattr(plot, "written", lambda *_: b"no figure")


def test_every_arm_is_trained_from_every_seed_and_shared_ones_once(done):
    _, root, found = done
    assert list(found.comparison.trained) == ["plain", "slow", "batch", "rate=0.02", "rate=0.05"]
    assert all(len(each) == 3 for each in found.comparison.trained.values())
    folders = sorted(str(path.parent.relative_to(root / "runs/train")) for path in root.rglob("state.pt"))
    variants = ("", "/batch=50", "/optimiser.lr=0.02", "/slow")  # 0.05 is what the recipe says itself
    assert folders == sorted(f"tiny-plain{variant}/seed{seed}" for variant in variants for seed in range(3))
    assert not (root / "shelf" / "model_zoo" / "weights").exists()  # a study publishes nothing
    plain, swept = (found.comparison.errors(name, "worst") for name in ("plain", "rate=0.05"))
    assert np.array_equal(plain, swept)


def test_its_errors_are_those_of_the_evaluations(done):
    catalog, root, found = done
    weights = root / "runs" / "train" / "tiny-plain" / "slow" / "seed1" / "weights.safetensors"
    from rbench import evaluate

    run = evaluate("tiny-plain", "quick", weights=weights, probes=("clean", "first"), runs=root / "other", catalog=catalog)  # fmt: skip # noqa: E501
    evidence = run.evidence
    either = ~(evidence["clean"].correct & evidence["first"].correct)
    assert found.comparison.errors("slow", "worst")[1].tolist() == either.astype(float).tolist()
    assert found.comparison.errors("slow", "clean")[1].mean() == pytest.approx(1 - run.scores["clean"].value)
    assert found.comparison.images == 500


def test_files_of_a_study(done):
    _, root, found = done
    names = {path.name for path in found.folder.iterdir()}
    figures = {f"{name}.{form}" for name in ("differences", "convergence", "sweep-rate") for form in ("png", "pdf")}
    assert names == {"README.md", "seeds.csv", "differences.csv", "convergence.csv", "sweep-rate.csv", *figures}
    with (found.folder / "sweep-rate.csv").open() as file:
        swept = [(float(row["rate"]), float(row["error"])) for row in csv.DictReader(file)]
    errors = [100 * found.comparison.error(f"rate={value}", "worst")[0] for value in (0.02, 0.05)]
    assert swept == [(0.02, pytest.approx(errors[0], rel=1e-5)), (0.05, pytest.approx(errors[1], rel=1e-5))]
    assert found.folder == root / "runs" / "studies" / "tiny"
    assert (found.folder / "README.md").read_text() == found.text
    assert "\n\nOf tiny images.\n\n" in found.text
    assert all((found.folder / name).read_bytes()[:4] == b"\x89PNG" for name in figures if name.endswith("png"))
    with (found.folder / "seeds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["seed"]) for row in rows[:4]] == [
        *(("plain", str(seed)) for seed in range(3)),
        ("slow", "0"),
    ]
    value = 100 * found.comparison.errors("plain", "worst")[0].mean()
    assert float(rows[0]["worst"]) == pytest.approx(value, rel=1e-5)
    with (found.folder / "convergence.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert sum(row["arm"] == "slow" for row in epochs) == 3 * 3
    assert "| slow - Plain" in found.text
    assert "500 test images, training seeds 0, 1, 2" in found.text


def test_the_same_call_does_nothing_again(done, monkeypatch, undrawn):
    catalog, root, found = done
    monkeypatch.setattr(loop, "one_epoch", None)
    before = {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*.parquet")}
    again = studies.study("tiny", runs=root / "runs", catalog=catalog)
    assert again.text == found.text
    assert {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*.parquet")} == before


def test_its_figures_are_drawn_alone_once_all_is_trained(done, tmp_path, monkeypatch):
    catalog, root, found = done
    monkeypatch.setattr(trials, "_compared", lambda *_: (found.comparison, {}))
    draw = partial(trials.drawing, catalog, root / "runs", Asking(), name="tiny")
    errors = draw(figure="errors").frame
    assert len(errors) == 5 * 2
    row = errors[(errors.arm == "slow") & (errors.measure == "worst")].iloc[0]
    assert row.error == pytest.approx(100 * found.comparison.errors("slow", "worst").mean())
    assert row.low <= row.error <= row.high
    with pytest.raises(UsageError, match="Did you mean 'sweep-rate'"):
        draw(figure="sweep-rat")
    with pytest.raises(MissingError, match="lacks 12 trainings; make them: rbench study tiny"):
        trials.drawing(catalog, tmp_path, Asking(), name="tiny", figure="errors")


def test_evaluations_by_older_code_are_moved_aside_on_demand(done):
    catalog, root, _ = done
    spec, runs = catalog.study("tiny"), root / "runs"
    training = trials._asked_for(catalog, spec, runs)["slow"][0]
    (result,) = run_all(catalog, [training], publishing=False)
    ask = partial(trials._asked, catalog, spec, spec.arms[1], result, runs=runs)
    before = ask(fresh=False)
    folder = run_folder(runs, "quick", "tiny-plain", Variant(weights_file=str(result.weights), probes=spec.probes))
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"code": {\n  "rbench": "', '"code": {\n  "rbench": "older'))
    with pytest.raises(StoreError, match="add --fresh"):
        ask(fresh=False)
    after = ask(fresh=True)
    assert after.errors["worst"].tolist() == before.errors["worst"].tolist()
    assert len(list(folder.parent.glob(f"{folder.name}.old-*"))) == 1
    assert ask(fresh=False).errors.keys() == before.errors.keys()


def test_the_command_line_prints_the_report_and_what_is_left(done, capsys, monkeypatch, undrawn):
    _, root, found = done
    monkeypatch.setattr(loop, "one_epoch", None)
    words = ["study", "tiny", "--seeds", "3", "--runs", str(root / "runs"), "--catalog", str(root / "shelf"), "--quiet"]
    assert command(words) == 0
    out, err = capsys.readouterr()
    assert out == found.text
    assert "report, figures and data in" in err
    assert command([*words[:2], *words[4:-1], "--dry-run"]) == 0
    assert "5 arms x 3 seeds; 12 trainings, 12 of them finished" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", [2, 4])
def test_seeds_that_the_study_does_not_name(done, seeds):
    catalog, root, _ = done
    with pytest.raises(UsageError, match=rf"seeds = {seeds} must be from 3 to 3"):
        studies.study("tiny", seeds=seeds, runs=root / "runs", catalog=catalog)


@pytest.mark.parametrize("name", sorted(Catalog.find().files("studies")))
def test_studies_of_the_shelf_name_what_there_is(name):
    catalog = Catalog.find()
    spec = catalog.study(name)
    suite = catalog.suite(spec.suite)
    assert set(spec.probes) <= {probe.name for probe in suite.probes}
    for arm in spec.every:
        card = catalog.model(arm.model)
        assert card.dataset == suite.dataset
        changed = catalog.recipe(card.recipe, preset=arm.preset, override=arm.override)
        assert changed.name == card.recipe
