"""Where else the scores of an evaluation go."""

import pytest

import rbench
from rbench import trackers
from rbench.cli import run
from rbench.errors import MissingError, UsageError
from rbench.types import Finding, Score


def told(kind, tmp_path, values=(0.5, 0.25)):
    scores = {"clean": Score(values[0], (0.4, 0.6), 20), "worst-case*": Score(values[1], (0.1, 0.4), 10)}
    findings = [Finding("RB1", "warn", ""), Finding("RB2", "info", ""), Finding("RB3", "warn", "")]
    folder = tmp_path / "runs" / "quick" / "net" / "seed0"
    trackers.log_scores([kind], tmp_path / "runs", folder, scores, findings, {"suite": "quick@1", "seed": "0"})
    return tmp_path / "runs" / "tracking" / "quick" / "net" / "seed0"


WANTED = {
    "clean": 0.5, "clean.low": 0.4, "clean.high": 0.6, "clean.n": 20,
    "worst-case": 0.25, "worst-case.low": 0.1, "worst-case.high": 0.4, "worst-case.n": 10,
    "findings.warn": 2, "findings.error": 0,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_is_told_scores_intervals_and_counts(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(told("tensorboard", tmp_path) / "tensorboard"))
    events.Reload()
    found = {key: events.Scalars(key)[0].value for key in events.Tags()["scalars"]}
    assert found == pytest.approx(WANTED, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_them_in_a_file_of_sqlite_and_goes_on_with_its_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv(trackers.PLACE, raising=False)
    folder = told("mlflow", tmp_path)
    database = tmp_path / "runs" / "mlflow.db"
    assert database.read_bytes()[:6] == b"SQLite"
    assert trackers.PLACE not in trackers.os.environ
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    first = (folder / "mlflow-run").read_text()
    kept = client.get_run(first)
    assert kept.data.metrics == WANTED
    assert kept.data.params == {"suite": "quick@1", "seed": "0"}
    assert kept.info.run_name == "quick/net/seed0"
    told("mlflow", tmp_path, (0.75, 0.25))
    assert client.get_run(first).data.metrics["clean"] == 0.75
    (folder / "mlflow-run").write_text("0" * 32)  # of a database that is gone
    told("mlflow", tmp_path)
    assert len(client.search_runs([kept.info.experiment_id])) == 2


def test_an_evaluation_tells_them_and_its_run_is_as_without(suite, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(trackers, "require", lambda kinds: None)
    monkeypatch.setattr(trackers, "log_scores", lambda *args: heard.append(args))
    done = rbench.evaluate("standard-digits", "quick", limit=4, probes=("clean",), track=("mlflow",), catalog=suite())
    ((kinds, root, folder, scores, _, settings),) = heard
    assert (kinds, folder) == (("mlflow",), done.folder)
    assert scores["clean"].n == 4
    assert (settings["model"], settings["samples"], settings["threat"]) == ("standard-digits", "4", "linf 24/255")
    assert root == tmp_path / "runs"
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["clean"]


def test_what_cannot_be_told_is_said_before_anything_is_run(monkeypatch, capsys):
    with pytest.raises(UsageError, match=r"no tracker named 'mlfow'. Did you mean 'mlflow'\?"):
        rbench.evaluate("standard-digits", "digits-linf", limit=4, track=("mlfow",))
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(MissingError, match=r"mlflow is not installed: pip install 'rbench\[mlflow\]', or leave out"):
        rbench.evaluate("standard-digits", "digits-linf", limit=4, track=("mlflow",))
    assert run(["eval", "--table", "digits-main", "--track", "mlflow"]) == 3
    assert "--track does not go with --table" in capsys.readouterr().err


def test_a_checkpoint_is_the_model_of_its_card(tmp_path, capsys):
    from rbench.catalog import Catalog

    catalog = Catalog.find()
    weights, _ = catalog.weights(catalog.model("at-digits"))
    words = ["--suite", "digits-linf", "--limit", "4", "--probe", "clean", "--workers", "1", "-q"]
    assert run(["eval", "--model", str(weights), "--arch", "at-digits", *words]) == 0
    checkpoint = capsys.readouterr()
    assert "weights-" in checkpoint.err
    assert run(["eval", "--model", "at-digits", *words]) == 0
    assert checkpoint.out == capsys.readouterr().out
    assert run(["plan", "--model", "at-digits", "--arch", "at-digits", *words[:2]]) == 3
    assert "--arch goes with a checkpoint" in capsys.readouterr().err
