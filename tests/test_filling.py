"""Tables that are filled: only what they need is run, what cannot be is said, and the table shows the numbers."""

import json
import shutil
from pathlib import Path

import pytest
from quick import contents

import rbench
from rbench import cli, engine, filling, measure
from rbench.catalog import Catalog
from rbench.errors import InterruptedRunError, UsageError

SUITE = """
version = {version}
title = "narrow"
dataset = "digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
threat = {{ norm = "linf", eps = "24/255" }}
baseline = "standard-digits"
[probes.clean]
[probes.fog]
data = {{ use = "rbench.data.corrupted:generated", args = {{ corruption = "fog", severities = [1] }} }}
[probes.fgsm]
attack = {{ use = "rbench.attacks.fgsm:fgsm" }}
[probes.dear]
attack = {{ use = "{file}:dear" }}
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.fgsm]
use = "rbench.metrics:accuracy"
of = ["fgsm"]
[scores.dear]
use = "rbench.metrics:accuracy"
of = ["dear"]
[scores.fog]
use = "rbench.metrics:ce"
of = ["fog"]
"""
DEAR = """
from pathlib import Path

def dear(model, x, y, threat, *, rng):
    if not Path(__file__).with_name("affordable").exists():
        raise RuntimeError("nobody needs it")
    return x
"""
TABLE = 'title = "Filled"\nmodels = {models}\ncolumns = {columns}\n'
N = 6


@pytest.fixture
def shelf(tmp_path):
    """Write the suite `narrow` and a table of its scores; returns the folder."""
    folder = tmp_path / "shelf"

    def write(columns, models=("standard-digits", "robnet-free-supernet-digits", "at-digits"), version=1):
        for name in ("suites", "reports"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "dear.py").write_text(DEAR)
        (folder / "suites" / "narrow.toml").write_text(SUITE.format(file=folder / "dear.py", version=version))
        text = TABLE.format(models=json.dumps(models), columns=json.dumps([f"narrow:{name}" for name in columns]))
        (folder / "reports" / "filled.toml").write_text(text)
        return folder

    return write


def probes_of(runs, model):
    return {path.name for path in Path(runs, "narrow", model, f"seed0-first{N}").iterdir() if path.is_dir()}


def eval_table(folder, *words):
    return cli.run(
        ["eval", "--table", "filled", "--limit", str(N), "--catalog", str(folder), "-q", "--workers", "1", *words]
    )


def test_only_what_is_shown_is_run_and_what_cannot_be_is_said_with_its_remedy(shelf, tmp_path, capsys):
    folder, runs = shelf(["clean", "fgsm"]), tmp_path / "runs"
    assert eval_table(folder, "--json") == 4  # a model of the table was never trained
    out, err = capsys.readouterr()
    assert "still missing: narrow, robnet-free-supernet-digits" in err
    assert "rbench train robnet-free-supernet-digits" in err
    shown = json.loads(out)["cells"]
    assert shown["at-digits"]["narrow:fgsm"]["n"] == shown["standard-digits"]["narrow:clean"]["n"] == N
    assert shown["robnet-free-supernet-digits"]["narrow:fgsm"]["value"] is None
    for model in ("standard-digits", "at-digits"):
        assert probes_of(runs, model) == {"clean", "fgsm"}
    before = contents(runs)
    assert eval_table(folder, "--json") == 4
    again = capsys.readouterr()
    assert again.out == out
    assert again.err.count("nothing to do") == 2
    assert contents(runs) == before


def test_the_table_at_the_end_shows_the_columns_that_were_asked_for(tmp_path, capsys):
    """There are no images, so that nothing is run."""
    asked = ["eval", "-q", "--format", "markdown", "--data-dir", str(tmp_path), "--columns"]
    assert cli.run([*asked, "published", "--table", "ews-table1"]) == 4
    out = capsys.readouterr().out
    assert "26.46" in out
    assert "| measured" not in out
    assert out == rbench.table("ews-table1", form="markdown", columns="published")
    assert cli.run([*asked, "mesured", "--table", "ews-table1"]) == 3
    assert "Did you mean 'measured'" in capsys.readouterr().err
    assert cli.run([*asked, "both", "--suite", "digits-linf", "--model", "at-digits"]) == 3
    assert "rbench table digits-linf --columns both" in capsys.readouterr().err


def test_the_run_of_the_whole_suite_goes_on_from_there_to_the_same_bytes(shelf, tmp_path):
    folder = shelf(["fgsm"], ["at-digits"])
    (folder / "affordable").touch()
    catalog = Catalog.find([folder])
    options = {"limit": N, "catalog": catalog}
    (part,) = rbench.evaluate_table("filled", **options, runs=tmp_path / "a")
    assert set(part.evaluation.scores) == {"fgsm", "clean"}
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    rest = rbench.evaluate("at-digits", "narrow", **options, runs=tmp_path / "b")
    whole = rbench.evaluate("at-digits", "narrow", **options, runs=tmp_path / "c")
    assert 0 < rest.fresh_blocks < whole.fresh_blocks
    assert contents(tmp_path / "b") == contents(tmp_path / "c")


def test_what_others_are_compared_with_is_run_as_a_whole(shelf, tmp_path):
    folder, runs = shelf(["fog"], ["at-digits"]), tmp_path / "runs"
    (folder / "affordable").touch()
    catalog = Catalog.find([folder])
    plan = {row["model"]: row["left"] for row in rbench.plan_table("filled", limit=N, catalog=catalog)}
    assert plan == {"standard-digits": 4 * N, "at-digits": N}
    rbench.evaluate_table("filled", limit=N, catalog=catalog)
    assert probes_of(runs, "standard-digits") == {"clean", "fog", "fgsm", "dear"}
    assert probes_of(runs, "at-digits") == {"fog"}
    cell = json.loads(rbench.table("filled", form="json", limit=N, catalog=catalog))["cells"]["at-digits"]["narrow:fog"]
    assert cell["n"] == N or "undefined" in cell  # foggy standard-digits may be right about all


def test_a_model_that_is_compared_with_itself_is_run_as_a_whole(shelf, tmp_path):
    folder = shelf(["fog"], ["standard-digits"])
    (folder / "affordable").touch()
    catalog = Catalog.find([folder])
    (filled,) = rbench.evaluate_table("filled", limit=N, catalog=catalog)
    assert filled.error is None
    assert probes_of(tmp_path / "runs", "standard-digits") == {"clean", "fog", "fgsm", "dear"}


def test_the_plan_lists_a_run_once_with_all_that_any_cell_needs(shelf, monkeypatch):
    folder = shelf(["clean"])
    asked = {("narrow", "standard-digits"): ("clean",), ("narrow", "at-digits"): ("fog",)}
    monkeypatch.setattr(filling, "needs", lambda *_: asked)
    rows = rbench.plan_table("filled", limit=N, catalog=Catalog.find([folder]))
    assert [(row["model"], row["left"]) for row in rows] == [("standard-digits", 4 * N), ("at-digits", N)]
    asked[("narrow", "standard-digits")] = asked.pop(("narrow", "standard-digits"))  # the narrow one comes last
    rows = rbench.plan_table("filled", limit=N, catalog=Catalog.find([folder]))
    assert [(row["model"], row["left"]) for row in rows] == [("standard-digits", 4 * N), ("at-digits", N)]


@pytest.mark.parametrize(("score", "diagnosed"), [("clean", False), ("fgsm", True)])
def test_attacks_bring_their_diagnosis_and_not_autoattack(score, diagnosed, monkeypatch):
    asked, looked = [], []
    monkeypatch.setattr(engine, "run", lambda jobs, *_, **__: asked.extend(job.probe.name for job in jobs))
    monkeypatch.setattr(measure, "look", lambda *_: looked.append(True) or {"samples": 1.0})
    found = rbench.evaluate("standard-digits", "digits-linf", scores=[score], limit=1)
    assert bool(looked) is ("diag-unbounded" in asked) is diagnosed
    assert {"clean", score} <= set(asked)
    assert "aa" not in asked
    assert not found.sheet.verdicts  # nothing is called reliable before all is there


def test_an_interruption_names_the_command_that_goes_on(shelf, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise InterruptedRunError("interrupted; what is committed stays.")

    monkeypatch.setattr(filling, "evaluate", interrupted)
    assert eval_table(shelf(["clean"])) == 5
    assert "To resume: rbench eval --table filled" in capsys.readouterr().err


def test_the_plan_counts_samples_and_takes_passes_from_the_runs_that_are_there(shelf, tmp_path):
    folder = shelf(["clean", "fgsm"])
    catalog = Catalog.find([folder])
    rows = {row["model"]: row for row in rbench.plan_table("filled", limit=N, catalog=catalog)}
    assert list(rows) == ["standard-digits", "robnet-free-supernet-digits", "at-digits"]
    assert (rows["at-digits"]["done"], rows["at-digits"]["left"], rows["at-digits"]["blocks"]) == (0, 2 * N, 2)
    assert rows["at-digits"]["passes"] == 2 * N  # nothing has run yet: a forward and a backward an image, at most
    assert rows["at-digits"]["remark"] == "to run; passes at most"
    assert rows["robnet-free-supernet-digits"]["left"] is None
    assert "rbench train robnet-free-supernet-digits" in rows["robnet-free-supernet-digits"]["remark"]
    run = rbench.evaluate("standard-digits", "narrow", scores=["clean", "fgsm"], limit=N, catalog=catalog)
    fgsm = run.evidence["fgsm"]
    rows = {row["model"]: row for row in rbench.plan_table("filled", limit=N, catalog=catalog)}
    assert 0 < rows["at-digits"]["passes"] == fgsm.forwards.sum() + fgsm.backwards.sum() <= 2 * N
    assert rows["at-digits"]["remark"] == "to run"
    done = rows["standard-digits"]
    assert (done["done"], done["left"], done["passes"], done["remark"]) == (2 * N, 0, 0, "complete")


def test_fresh_moves_aside_only_what_is_stale(shelf, tmp_path):
    folder, runs = shelf(["clean"], ["standard-digits", "at-digits"]), tmp_path / "runs"
    options = {"limit": N, "catalog": Catalog.find([folder])}
    rbench.evaluate_table("filled", **options)
    shelf(["clean"], ["standard-digits", "at-digits"], version=2)
    rbench.evaluate("standard-digits", "narrow", scores=["clean"], fresh=True, **options)
    remarks = [row["remark"] for row in rbench.plan_table("filled", **options)]
    assert remarks[0] == "complete"
    assert "--fresh" in remarks[1]
    assert rbench.plan_table("filled", **options)[1]["left"] == N
    refused = rbench.evaluate_table("filled", **options)[1]
    assert "belongs to another run" in str(refused.error)
    current, renewed = rbench.evaluate_table("filled", fresh=True, **options)
    assert (current.evaluation.fresh_blocks, renewed.evaluation.fresh_blocks) == (0, 1)
    assert [path.name for path in sorted(runs.glob("*/at-digits/*"))] == [f"seed0-first{N}", f"seed0-first{N}.old-1"]


def test_an_attack_that_fails_leaves_its_run_out_and_goes_on(shelf, capsys):
    folder = shelf(["dear", "clean"], ["standard-digits", "at-digits"])
    assert eval_table(folder) == 4
    err = capsys.readouterr().err
    assert err.count("nobody needs it") == 4  # for two models, when it happens and at the end


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["eval", "--table", "digits-main", "--suite", "digits-linf"], "--suite does not go with --table digits-main"),
        (["plan", "--table", "digits-main", "--model", "at-digits"], "--model does not go with --table"),
        (["eval", "--table", "digits-main", "--probe", "clean"], "--probe does not go with --table"),
        (["eval", "--table", "digits-main", "--eps", "0,8/255"], "several --eps does not go with --table"),
        (["plan", "--suite", "digits-linf"], "missing option '--model': rbench plan --suite NAME --model NAME"),
        (["plan", "--table", "digits-mian"], "Did you mean 'digits-main'?"),
        (["eval", "--table", "digits-main", "--eps", "8"], "Did you mean '8/255'?"),
    ],
)
def test_a_table_and_a_suite_exclude_each_other(words, sentence, capsys):
    assert cli.run(words) == 3
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_score_that_is_not_there_is_a_mistake():
    with pytest.raises(UsageError, match="Did you mean 'clean'"):
        rbench.evaluate("at-digits", "digits-linf", scores=["claen"], limit=1)


def test_the_printed_plan_ends_in_sums(shelf, capsys):
    folder = shelf(["clean"])
    assert cli.run(["plan", "--table", "filled", "--limit", str(N), "--catalog", str(folder)]) == 0
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[:7] == ["sum", "3", "runs", "0", ">=", str(2 * N), ">="]
    assert last[8:] == ["?"]  # no model that could tell has run
