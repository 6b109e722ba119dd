"""All that was run as tables: what they hold is what lies on disk, and any other program reads them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from darker import shelve
from evidence import outcomes
from kept_runs import keep
from quick import SUITE

import rbench
from rbench.catalog import Catalog
from rbench.cli import run as cli
from rbench.errors import MissingError, StoreError, UsageError
from rbench.kept import kept
from rbench.planner import Variant
from rbench.store import Run
from rbench.tidy import SAMPLES
from rbench.types import Job, Probe, Threat

N = 12
PGD = ("rbench.attacks.pgd:pgd", "{ steps = 3 }")
WIDE, PART = Variant(seed=1, limit=N, eps="64/255"), Variant(limit=N, probes=("first", "second"))
CORRECT = {"clean": [True] * N, "first": [True] * 9 + [False] * 3, "second": [False] * 6 + [True] * 6}
BY_HAND = {
    ("at-digits", WIDE.folder): {"clean": 1.0, "second": 0.5, "worst": 0.25},
    ("standard-digits", PART.folder): {"second": 0.5},
}


def shelf_in(folder, eps="24/255"):
    (folder / "suites").mkdir(parents=True, exist_ok=True)
    text = SUITE.format(attack=PGD[0], args=PGD[1], norm="linf", eps=eps)
    (folder / "suites" / "quick.toml").write_text(text)
    return Catalog.find([folder])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An evaluation and two runs written by hand; returns the catalog, the folder of runs and the evaluation."""
    folder = tmp_path_factory.mktemp("made")
    catalog, runs = shelf_in(folder / "shelf"), folder / "runs"
    done = rbench.evaluate("at-digits", "quick", limit=N, runs=runs, catalog=catalog)
    keep(catalog, runs, "quick", "at-digits", WIDE, CORRECT)
    keep(catalog, runs, "quick", "standard-digits", PART, CORRECT)
    return catalog, runs, done


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the runs to damage, and the catalog."""
    return made[0], shutil.copytree(made[1], tmp_path / "copy")


def test_a_row_a_run_says_what_the_run_is_pinned_to(made):
    catalog, runs, done = made
    found = rbench.frames(runs, catalog=catalog).runs.set_index(["model", "variant"])
    assert set(found.index) == {("at-digits", done.folder.name), *BY_HAND}
    assert found.eps.tolist() == ["24/255", "64/255", "24/255"]
    assert found.radius.tolist() == [24 / 255, 64 / 255, 24 / 255]
    assert found.complete.tolist() == [True, False, False]  # the evaluations of those by hand did not end
    for (model, variant), row in found.iterrows():
        manifest = json.loads((runs / "quick" / model / variant / "manifest.json").read_text())
        assert (row.suite, row.n, row.total, row.dataset) == ("quick", N, 500, "digits")
        assert f"quick@{row.version} {row.suite_digest}" == manifest["suite"]
        assert all(row[name] == manifest[name] for name in ("seed", "weights", "data", "rbench"))
        assert json.loads(row.code) == manifest["code"]
        assert (row.current, row.stale) == (True, "")
        assert pd.isna(row.verdict)  # of what was not diagnosed
    settings = json.loads((done.folder / "settings.json").read_text())
    assert found.loc["at-digits", done.folder.name].torch == settings["torch"]


def test_scores_are_those_of_the_evaluation_of_the_table_and_counted_by_hand(made):
    catalog, runs, done = made
    rows = {(r.model, r.variant, r.score): r for r in rbench.frames(runs, catalog=catalog).scores.itertuples()}
    key = "at-digits", done.folder.name
    assert rows.keys() == {(*at, name) for at, values in {key: done.scores, **BY_HAND}.items() for name in values}
    shown = json.loads(rbench.table("quick", form="json", limit=N, runs=runs, catalog=catalog))["cells"]["at-digits"]
    for name, score in done.scores.items():
        row = rows[(*key, name)]
        assert (row.value, (row.low, row.high), row.n) == (score.value, score.interval, score.n)
        assert row.value == shown[f"quick:{name}"]["value"]
        assert row.findings.split() == [finding.code for finding in score.findings]
    assert {at: {name: rows[(*at, name)].value for name in values} for at, values in BY_HAND.items()} == BY_HAND


def test_files_are_plain_and_their_samples_give_the_scores(made, tmp_path, capsys):
    _, runs, _ = made
    shelf = made[1].parent / "shelf"
    words = ["export", "--out", str(tmp_path / "out"), "--runs", str(runs), "--catalog", str(shelf)]
    assert cli(words) == 0
    files = {name: tmp_path / "out" / f"{name}.parquet" for name in ("runs", "scores", "samples")}
    assert capsys.readouterr().out.split() == [str(path) for path in files.values()]
    assert sorted((tmp_path / "out").iterdir()) == sorted(files.values())
    for path in files.values():
        schema = pq.read_schema(path)
        assert not schema.metadata
        assert not any(pa.types.is_nested(kind) for kind in schema.types)
    samples, scores = pd.read_parquet(files["samples"]), pd.read_parquet(files["scores"])
    samples["correct"] = samples.pred == samples.label
    run = ["suite", "model", "variant"]
    by_probe = samples.groupby([*run, "probe"]).correct.mean()
    worst = samples.groupby([*run, "sample"]).correct.min().groupby(run).mean()
    assert len(scores) == 3 + 3 + 1  # the run of two probes has one score
    for row in scores.itertuples():
        key = (row.suite, row.model, row.variant)
        assert row.value == (worst[key] if row.score == "worst" else by_probe[(*key, row.score)])


def test_samples_are_those_of_the_evaluation_and_patterns_choose_them(made):
    catalog, runs, done = made
    frames = rbench.frames(runs, model="at-*", catalog=catalog)
    every = frames.samples
    ours, theirs = every[every.variant == done.folder.name], done.samples
    columns = [name for name in theirs if name != "zipf"]
    pd.testing.assert_frame_equal(
        ours[columns].sort_values(["probe", "sample"], ignore_index=True),
        theirs[columns].sort_values(["probe", "sample"], ignore_index=True),
        check_dtype=False,
    )
    assert ours[["top1", "zipf"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(pd.concat(frames.batches(), ignore_index=True), every)
    narrow = rbench.frames(runs, suite="quick", probe="s*", catalog=catalog).samples
    assert set(narrow.probe) == {"second"}
    assert len(narrow) == 3 * N


@pytest.mark.parametrize("reader", ["duckdb", "polars"])
def test_other_readers_find_the_same_samples(made, tmp_path, reader):
    module = pytest.importorskip(reader)
    files = rbench.frames(made[1], catalog=made[0]).write(tmp_path)
    read = {
        "duckdb": lambda path: module.sql(f"select variant from '{path}'").fetchall(),  # noqa: S608 - ours
        "polars": lambda path: module.read_parquet(path).select("variant").rows(),
    }[reader]
    for path in files:
        assert read(str(path)) == [(name,) for name in pd.read_parquet(path).variant]


def test_top_classes_of_sequences_are_columns(tmp_path):
    block = outcomes([True, False])
    block = replace(block, top=np.array([[1, 4, 2], [2, 1, 3]]), zipf=np.array([0.0, 0.5]))
    run = Run(tmp_path / "s" / "m" / "seed0")
    probe = Probe("film")
    job = Job("m", "w", "s@1", probe, Threat("linf", "8/255"), "d", "c", 0)
    pinned = dict.fromkeys(("arch", "code", "data", "rbench", "samples", "total", "weights"), "")
    with run.writing({**pinned, "suite": "s@1 abc", "model": "m", "seed": 0}):
        run.commit(job, block)
        run.complete(job, 2, ())
    found = rbench.frames(tmp_path).samples
    assert list(found) == list(SAMPLES)
    assert found[["top1", "top2", "top3"]].to_numpy().tolist() == [[1, 4, 2], [2, 1, 3]]
    assert found[["top4", "top5"]].isna().all(axis=None)
    assert found.zipf.tolist() == [0.0, 0.5]


def test_what_the_shelf_has_no_longer_stays_a_run_without_scores(copied, tmp_path):
    _, runs = copied
    changed = rbench.frames(runs, catalog=shelf_in(tmp_path / "other", eps="16/255"))
    assert changed.runs.set_index("variant").current.to_dict() == {
        f"seed0-first{N}": False,
        PART.folder: False,
        WIDE.folder: True,  # which names its eps itself
    }
    assert set(changed.scores.variant) == {WIDE.folder}
    lost = rbench.frames(runs, catalog=Catalog.find())
    assert lost.runs.stale.str.startswith("no suite named 'quick'").all()
    assert lost.scores.empty
    assert len(lost.samples) == N * (3 + 3 + 2)


def test_scores_by_other_code_are_not_current(copied):
    catalog, runs = copied
    path = runs / "quick" / "at-digits" / f"seed0-first{N}" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "code": {"rbench": "older"}}))
    found = rbench.frames(runs, model="at-digits", catalog=catalog)
    assert found.runs.current.tolist() == [False, True]
    assert found.scores.current.tolist() == [False] * 3 + [True] * 3


def test_damage_is_one_sentence_with_the_remedy(copied, tmp_path):
    catalog, runs = copied
    folder = runs / "quick" / "at-digits" / f"seed0-first{N}"
    moved = folder.rename(folder.with_name("best"))
    with pytest.raises(StoreError, match=r"best holds a run of .* it was renamed or copied"):
        _ = rbench.frames(runs, catalog=catalog).runs
    moved.rename(folder)
    texts = {
        "manifest.json": ("[]", "move the folder away"),
        "settings.json": ("{", "remove it and run the same command again"),
        "verdict.json": ("3", "remove it and run the same command again"),
    }
    for name, (text, remedy) in texts.items():
        whole = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(StoreError, match=remedy):
            _ = rbench.frames(runs, catalog=catalog).runs
        (folder / name).write_text(whole)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "data"}))
    with pytest.raises(StoreError, match="its manifest has no 'data'; move the folder away"):
        _ = rbench.frames(runs, catalog=catalog).runs
    block = next(runs.glob("quick/standard-digits/*/first/*.parquet"))
    block.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="missing or damaged; remove"):
        rbench.frames(runs, model="standard-digits", catalog=catalog).write(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*samples*"))


def test_what_is_not_there_is_said(made, tmp_path):
    catalog, runs, _ = made
    with pytest.raises(MissingError, match=r"no run in .*--runs"):
        _ = rbench.frames(tmp_path, catalog=catalog).runs
    for names, said in (({"suite": "quikc"}, "quick"), ({"model": "at-digit"}, "at-digits")):
        with pytest.raises(UsageError, match=f"Did you mean '{said}'"):
            _ = rbench.frames(runs, **names, catalog=catalog).scores
    with pytest.raises(UsageError, match="no complete probe named 'aa'"):
        _ = rbench.frames(runs, probe="aa", catalog=catalog).samples
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .* --out"):
        rbench.frames(runs, catalog=catalog).write(tmp_path / "file")


def test_folders_of_other_verbs_and_those_set_aside_are_no_runs(copied):
    _, runs = copied
    other = runs / "searches" / "robnet" / "candidates"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text('{"format": 1, "sample": 4}')
    folder = runs / "quick" / "at-digits" / f"seed0-first{N}"
    shutil.copytree(folder, folder.with_name(f"{folder.name}.old-1"))
    assert len(kept(runs)) == 3


@pytest.mark.parametrize(
    "variant",
    [
        Variant(),
        Variant(seed=7, limit=100, eps="8/255"),
        Variant(eps="1e-2", probes=("pgd-sat", "clean")),
        Variant(limit=3, backend="torchattacks:PGDL2"),
        Variant(eps="0.03", probes=("worst-case",), backend="pyautoattack"),
        Variant(weights_file="FILE", limit=2, probes=("aa",)),
        Variant(missing=("fog",), limit=2, backend="pyautoattack"),
    ],
)
def test_a_folder_gives_its_variant_back(variant):
    found = Variant.of_folder(variant.folder)
    assert replace(found, missing=variant.missing).folder == variant.folder
    assert found == replace(variant, missing=(), probes=tuple(sorted(variant.probes)))


def test_data_that_were_left_out_are_known_by_the_views_that_were_not(tmp_path):
    catalog, whole = shelve(tmp_path), Variant(limit=2, missing=("two",))
    keep(catalog, tmp_path / "runs", "views", "at-digits", whole, dict.fromkeys(("clean", "one", "film"), [True] * 2))
    (found,) = kept(tmp_path / "runs")
    suite, variant = found.asked(catalog)
    assert variant == whole
    assert [probe.name for probe in suite.probes] == ["clean", "one", "film"]
    assert found.stale(catalog) == ""


@pytest.mark.parametrize("name", ["", "seed", "seedy", "seed1-best", "seed0.old-1", "candidates"])
def test_a_folder_of_another_name_gives_none(name):
    assert Variant.of_folder(name) is None
