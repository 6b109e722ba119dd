"""The verdict of a run: drawn from its evidence, kept beside it, and the same after any interruption."""

import copy
import json

import pytest
from quick import contents

import rbench
from rbench import cli
from rbench.catalog import Catalog
from rbench.doubt import probing
from rbench.doubt.codes import CODES
from rbench.errors import ModelError, StoreError, UsageError
from rbench.store import Run
from rbench.types import Finding

REFUSED = Finding("RB114", "error", "the gradient is another's.")


@pytest.fixture
def diagnosed(suite, tmp_path, monkeypatch):
    """The suite `quick` with a diagnosis, by few queries."""
    monkeypatch.setattr(probing, "QUERIES", 5)
    monkeypatch.setattr(probing, "DRAWS", 5)
    suite()
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    path.write_text(path.read_text().replace("version = 1", "version = 1\ndiagnose = true", 1))
    return Catalog.find([tmp_path / "shelf"])


def test_an_evaluation_ends_with_a_verdict_which_a_table_repeats(diagnosed):
    run = rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed)
    assert json.loads((run.folder / "verdict.json").read_text()) == {
        "verdict": "reliable",
        "diagnosed": True,
        "findings": [],
    }
    assert set(run.samples.probe) >= {"second", "diag-margin", "diag-square"}
    assert set(run.scores) == {"clean", "second", "worst"}
    table = rbench.table("quick", limit=12, catalog=diagnosed)
    assert "Reliable: at-digits." in table


def test_nothing_is_called_reliable_that_was_not_diagnosed(suite):
    run = rbench.evaluate("at-digits", "quick", limit=12, catalog=suite())
    assert json.loads((run.folder / "verdict.json").read_text())["diagnosed"] is False
    assert run.sheet.verdicts == {}
    assert "eliable" not in rbench.table("quick", limit=12, catalog=suite())


def test_lost_measurements_and_verdicts_come_back_to_the_same_bytes(diagnosed):
    run = rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed)
    before = contents(run.folder)
    for name in ("measurements.json", "verdict.json"):
        (run.folder / name).unlink()
    assert rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed).fresh_blocks == 0
    assert contents(run.folder) == before


def test_an_interrupted_diagnosis_is_resumed_to_the_same_bytes(diagnosed):
    run = rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed)
    before = contents(run.folder)
    for name in ("diag-margin/complete.json", "diag-noise/complete.json", "diag-noise/000000.parquet", "verdict.json"):
        (run.folder / name).unlink()
    assert rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed).fresh_blocks == 1
    assert contents(run.folder) == before


def test_a_stale_verdict_is_drawn_anew(diagnosed, tmp_path):
    folder = rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed).folder
    before = contents(folder)
    Run(folder).judged("unreliable", [REFUSED], diagnosed=True)
    assert contents(folder) != before
    rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed)
    assert contents(folder) == before


def test_damaged_measurements_are_one_sentence(diagnosed):
    folder = rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed).folder
    (folder / "measurements.json").write_text("[1")
    with pytest.raises(StoreError, match=r"measurements\.json is damaged"):
        rbench.evaluate("at-digits", "quick", limit=12, catalog=diagnosed)


def test_measurements_that_are_not_finite_are_never_stored(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        Run(tmp_path).measured({"cosine": float("nan")})
    assert Run(tmp_path).measurements() is None


def test_a_code_is_part_of_the_message_and_travels_between_processes():
    error = copy.copy(ModelError("it is random.", code="RB105"))  # by the same protocol as pickle
    assert (str(error), error.code, error.exit_code) == ("[RB105] it is random.", "RB105", 4)
    plain = copy.copy(UsageError("no such thing."))
    assert (str(plain), plain.code) == ("no such thing.", "")


def test_explain_lists_all_codes_and_explains_one(capsys):
    assert cli.run(["explain"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == sorted(CODES)
    assert cli.run(["explain", "RB114"]) == 0
    shown = capsys.readouterr().out
    assert "central differences" in " ".join(shown.split())
    assert "error above 0.1" in shown
    assert cli.run(["explain", "RB1114"]) == 3
    assert "Did you mean 'RB114'?" in capsys.readouterr().err


MODEL = """
import rbench
from torch import nn

class Probabilities(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = rbench.load_model("at-digits")
    def forward(self, x):
        return self.net(x).softmax(1)

def net():
    return Probabilities()
"""


def test_a_refusal_says_how_to_learn_more(suite, tmp_path, capsys):
    suite()
    (tmp_path / "m.py").write_text(MODEL)
    words = ["eval", "--suite", "quick", "--model", f"{tmp_path / 'm.py'}:net", "--limit", "5"]
    assert cli.run([*words, "--catalog", str(tmp_path / "shelf")]) == 4
    err = capsys.readouterr().err
    assert "rbench: [RB109] the model returned probabilities" in err
    assert "rbench explain RB109" in err
