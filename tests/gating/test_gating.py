"""Gates: equal models pass and weaker ones fail, early; what is undecided or broken never passes."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import safetensors.torch
import torch
from evidence import outcomes
from quick import SUITE

from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import MissingError, ModelError, StoreError, UsageError
from rbench.gating import saving, snapshot
from rbench.gating.gate import gate
from rbench.gating.judging import Judge
from rbench.gating.text import junit, text

ALONE = ("--quiet", "--workers", "1")
GATE = """
title = "Keeps what it has"
suite = "quick"
model = "at-digits"
look = 40
[scores.clean]
delta = 0.03
[scores.worst]
delta = 0.05
[policy]
"release/*" = "fail"
"feature-*" = "warn"
"""
MODELS = """
import torch
from torch import nn
class Broken(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.weight, self.by = nn.Parameter(torch.ones(1)), how
    def forward(self, x):
        logits = x.mean((1, 2, 3))[:, None] * torch.arange(10.0) * self.weight
        if self.by == "random":
            return logits + torch.rand_like(logits)
        return logits * (float("nan") if len(x) < 20 else 1.0)
def random():
    return Broken("random")
def sometimes_nan():
    return Broken("nan")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shelf with a gate and its baseline."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "suites").mkdir()
    suite = SUITE.format(attack="rbench.attacks.fgsm:fgsm", args="{}", norm="linf", eps="24/255")
    (folder / "suites" / "quick.toml").write_text(suite)
    (folder / "reports" / "gates").mkdir(parents=True)
    (folder / "reports" / "gates" / "kept.toml").write_text(GATE)
    (folder / "models.py").write_text(MODELS)
    catalog = Catalog.find([folder])
    path, before = saving.save("kept", catalog=catalog, runs=folder / "runs")
    assert before is None
    assert path == folder / "reports" / "gates" / "kept.json"
    return folder, catalog


@pytest.fixture
def copied(made, tmp_path):
    """The same baseline, to be spoilt: its path without an ending."""
    for ending in (".json", ".parquet"):
        (tmp_path / f"kept{ending}").write_bytes((made[0] / "reports" / "gates" / f"kept{ending}").read_bytes())
    return tmp_path / "kept"


def by_name(found):
    return {each.score.name: each for each in found.verdicts}


def test_the_same_model_passes_before_all_images_are_attacked(made):
    _, catalog = made
    found = gate("kept", catalog=catalog)
    assert (found.outcome, found.exit_code, found.items) == ("PASS", 0, 500)
    assert found.images < 250
    assert found.passes > 0
    worst = by_name(found)["worst"]
    assert (worst.drop, worst.table.first, worst.table.second) == (0, 0, 0)
    assert worst.interval[0] < 0 < worst.interval[1]
    assert worst.interval[1] <= 0.06  # about delta
    assert "these are the weights of the baseline." in found.notes


def test_a_weakened_checkpoint_fails_and_an_equal_one_passes(made, tmp_path):
    _, catalog = made
    state = safetensors.torch.load_file(catalog.weights(catalog.model("at-digits"))[0])
    torch.manual_seed(0)
    noisy = {k: v + 0.6 * v.std() * torch.randn_like(v) if v.ndim == 4 else v for k, v in state.items()}
    safetensors.torch.save_file(noisy, tmp_path / "weak.safetensors")
    weak = gate("kept", weights=tmp_path / "weak.safetensors", catalog=catalog)
    assert (weak.outcome, weak.exit_code, weak.images) == ("FAIL", 1, 0)  # its clean images say enough
    assert by_name(weak)["clean"].by == "one pass an image"
    fooled = gate("kept", model="standard-digits", catalog=catalog)
    assert (fooled.outcome, fooled.images) == ("FAIL", 40)
    worst = by_name(fooled)["worst"]
    assert (worst.outcome, worst.by) == ("FAIL", "bet")
    assert worst.interval[0] > 0.05
    (case,) = [case for case in ET.fromstring(junit(weak)) if case.get("name") == "worst"]  # noqa: S314 - written here
    assert case.find("skipped").get("message") == "worst was not decided: the gate had failed."
    assert by_name(weak)["worst"].drop is None
    equal = gate("kept", model="ews-digits", catalog=catalog)  # trained by another method, as robust
    assert equal.outcome == "PASS"
    assert by_name(equal)["worst"].table.first > 0


def test_few_images_decide_nothing_and_it_says_how_many_would(made, capsys):
    folder, catalog = made
    words = ["gate", "kept", "--catalog", str(folder), "--images", "20", "--branch", "release/1", *ALONE]
    assert command(words) == 2
    out = capsys.readouterr().out
    assert out.startswith("INCONCLUSIVE: at-digits against the baseline of kept")
    assert "On branch 'release/1' the policy for an undecided gate is: it fails." in out
    more = by_name(gate("kept", images=20, catalog=catalog))["worst"].more
    assert f"worst: {more} more images would show a drop of at most 5 points, if none of them turned." in out
    needed = 20 + more
    enough = gate("kept", images=needed, catalog=catalog)
    assert [(each.outcome, each.by) for each in enough.verdicts] == [("PASS", "one pass an image"), ("PASS", "bet")]
    found = gate("kept", images=needed - 1, branch="feature-1", catalog=catalog)
    assert (found.outcome, found.undecided, found.exit_code) == ("INCONCLUSIVE", "warn", 0)
    assert "it only warns" in text(found)
    assert found.gate.undecided("other") == "fail"


def test_machines_get_json_junit_and_a_summary(made, tmp_path, capsys, monkeypatch):
    folder, _ = made
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_REF_NAME", "feature-x")
    words = ["gate", "kept", "--catalog", str(folder), "--model", "standard-digits", "--junit", str(tmp_path / "j.xml")]
    assert command([*words, "--json", *ALONE]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["exit_code"], told["branch"]) == ("FAIL", 1, "feature-x")
    assert told["scores"]["worst"]["lost"] > 20
    suite = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314 - written above
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    (case,) = [case for case in suite if case.get("name") == "worst"]
    assert "dropped by" in case.find("failure").get("message")
    assert "## ❌ FAIL: robustness of `standard-digits`" in (tmp_path / "summary.md").read_text()


def test_an_update_prints_what_changes_and_gates_anew(made, copied, capsys):
    folder, catalog = made
    words = ["gate", "kept", "--catalog", str(folder), "--baseline", str(copied), "--runs", str(folder / "runs")]
    assert command([*words, "--update", "--model", "standard-digits", *ALONE]) == 0
    out = capsys.readouterr().out
    assert "model: at-digits -> standard-digits" in out
    assert "worst: " in out
    assert " -> 0." in out  # FGSM leaves the standard network next to nothing
    assert gate("kept", model="standard-digits", baseline=copied, catalog=catalog).outcome == "PASS"
    assert gate("kept", baseline=copied, catalog=catalog).outcome == "PASS"  # better is no drop


@pytest.mark.parametrize(("model", "said"), [("random", "different logits each time"), ("sometimes_nan", "NaN")])
def test_a_model_that_misbehaves_is_inconclusive_with_the_reason(made, model, said):
    folder, catalog = made
    found = gate("kept", model=f"{folder / 'models.py'}:{model}", branch="feature-1", catalog=catalog)
    assert (found.outcome, found.exit_code) == ("INCONCLUSIVE", 2)  # although the policy there is to warn
    assert said in found.reason
    assert "it only warns" not in text(found)
    suite = ET.fromstring(junit(found))  # noqa: S314 - written here
    assert (suite.get("errors"), suite.get("skipped")) == ("2", "0")


def test_what_the_user_got_wrong_is_no_outcome_of_a_gate(made, tmp_path, capsys):
    folder, _ = made
    words = ["gate", "kept", "--catalog", str(folder), "--branch", "feature-1", *ALONE]
    assert command([*words, "--device", "tpu"]) == 3
    assert command([*words, "--weights", str(tmp_path / "none.safetensors")]) == 4
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    assert command([*words, "--weights", str(tmp_path / "bad.safetensors")]) != 0
    assert command([*words, "--runs", str(tmp_path)]) == 3
    assert "--runs goes with --update" in capsys.readouterr().err
    assert command([*words, "--update", "--json"]) == 3
    assert "--update goes without --branch" in capsys.readouterr().err


def test_baselines_may_have_dots_in_their_names(made, tmp_path):
    _, catalog = made
    evidence = {"clean": outcomes(np.ones(4))}
    manifest = dict.fromkeys(snapshot.PINNED, "") | {"samples": 4, "code": {"rbench": "0"}}
    for name in ("base.v1", "base.v2"):
        path = saving.baseline_path(catalog, "kept", tmp_path / name)
        snapshot.save(path, {**manifest, "model": name}, {}, evidence)
    assert {each.name for each in tmp_path.iterdir()} == {
        f"base.v{k}.{end}" for k in (1, 2) for end in ("json", "parquet")
    }
    path = saving.baseline_path(catalog, "kept", tmp_path / "base.v1.json")
    assert snapshot.read(path, "").pinned["model"] == "base.v1"


def test_a_baseline_that_cannot_serve_is_refused(made, copied):
    _, catalog = made
    file, rows = copied.with_suffix(".json"), copied.with_suffix(".parquet")
    whole = json.loads(file.read_text())

    def gated(error, said, **changed):
        pinned = {k: v for k, v in {**whole, **changed}.items() if k != "digest"}
        file.write_text(json.dumps({**pinned, "digest": snapshot.digest_of(pinned)}))
        with pytest.raises(error, match=said):
            gate("kept", baseline=copied, catalog=catalog)

    gated(UsageError, r"its suite is quick@0 aaaa, not quick@1 .* rbench baseline save kept", suite="quick@0 aaaa")
    gated(UsageError, "its seed is 3, not 0", seed=3)
    gated(UsageError, "its samples is 400, not 500", samples=400)
    gated(UsageError, "its data is f, not 9", data="f")
    gated(StoreError, "has format 0", format=0)
    gated(UsageError, "its surrogates is", surrogates={"a": ["b", {}]})
    gated(UsageError, "its code is", code={**whole["code"], "mine.py:attack": "1"})
    gated(UsageError, "its code is", code={"rbench": "0"})  # perhaps of weaker attacks
    file.write_text(json.dumps({**whole, "seed": 3}))
    with pytest.raises(StoreError, match=r"it was edited. Restore it, or make it anew: rbench baseline save kept"):
        gate("kept", baseline=copied, catalog=catalog)
    file.write_text(json.dumps(whole))
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"not the one that kept.json was saved with"):
        gate("kept", baseline=copied, catalog=catalog)
    file.write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        gate("kept", baseline=copied, catalog=catalog)
    bare = {"clean": outcomes(np.ones(500))}
    snapshot.save(copied, whole, {}, bare)
    with pytest.raises(
        UsageError, match="has nothing of probe 'first', which the gate needs; rbench baseline save kept"
    ):
        gate("kept", baseline=copied, catalog=catalog)
    file.unlink()
    with pytest.raises(MissingError, match=r"there is no baseline .*kept.json; make it: rbench baseline save kept"):
        gate("kept", baseline=copied, catalog=catalog)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("delta = 0.05", "delta = 0"), "delta = 0.0 must lie between 0 and 1"),
        (("delta = 0.05", "delta = 1.5"), "delta = 1.5 must lie between 0 and 1"),
        (("look = 40", "alpha = 0.5"), "alpha = 0.5 must lie between 0 and 0.5"),
        (("look = 40", "look = 0"), "must be at least 1"),
        (("[scores.worst]", "[scores.wurst]"), "Did you mean 'worst'"),
        (("look = 40", "looks = 40"), "no key named 'looks'"),
        (('model = "at-digits"', 'model = "at-digit"'), "Did you mean 'at-digits'"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(made, change, said, tmp_path):
    folder, _ = made
    (tmp_path / "reports" / "gates").mkdir(parents=True)
    (tmp_path / "reports" / "gates" / "odd.toml").write_text(GATE.replace(*change))
    catalog = Catalog((*Catalog.find([folder]).roots, tmp_path))
    with pytest.raises(UsageError, match=said):
        gate("odd", baseline=folder / "reports" / "gates" / "kept.toml", catalog=catalog)


def test_attacks_of_other_packages_are_not_asked_one_by_one(made, tmp_path):
    folder, _ = made
    (tmp_path / "suites").mkdir()
    suite = SUITE.format(attack="rbench.backends.pyautoattack:apgd", args="{}", norm="linf", eps="24/255")
    (tmp_path / "suites" / "foreign.toml").write_text(suite)
    (tmp_path / "reports" / "gates").mkdir(parents=True)
    (tmp_path / "reports" / "gates" / "odd.toml").write_text(GATE.replace('"quick"', '"foreign"'))
    with pytest.raises(UsageError, match="'second' of suite 'foreign' runs another package's attack"):
        gate("odd", catalog=Catalog((*Catalog.find([folder]).roots, tmp_path)))


def test_an_interrupted_gate_is_run_again_and_not_resumed(made, monkeypatch, capsys):
    folder, _ = made

    def stopped(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("rbench.gating.gate._drawn", stopped)
    words = ["gate", "kept", "--catalog", str(folder), *ALONE]
    assert command(words) == 5
    said = capsys.readouterr().err
    assert "interrupted; a gate keeps nothing.\nTo run it again: rbench gate kept" in said
    assert "To resume" not in said


def test_a_failure_that_was_proven_stays_one_when_the_model_misbehaves_later(made, monkeypatch):
    _, catalog = made

    def broken(*_):
        raise ModelError("NaN")
        yield

    monkeypatch.setattr("rbench.gating.gate._drawn", broken)
    found = gate("kept", catalog=catalog)
    assert (found.outcome, found.reason) == ("INCONCLUSIVE", "NaN")
    monkeypatch.setattr(Judge, "outcomes", lambda judge: dict.fromkeys((c.name for c in judge.cases), "FAIL"))
    found = gate("kept", catalog=catalog)
    assert (found.outcome, found.exit_code) == ("FAIL", 1)
    assert "Besides: NaN" in text(found)


def test_a_weakened_checkpoint_of_this_project_fails_its_own_gate(tmp_path):
    catalog = Catalog.find()
    state = safetensors.torch.load_file(catalog.weights(catalog.model("ews-digits"))[0])
    torch.manual_seed(0)
    noisy = {k: v + v.std() * torch.randn_like(v) if v.ndim == 4 else v for k, v in state.items()}
    safetensors.torch.save_file(noisy, tmp_path / "weak.safetensors")
    weak = gate("ews-digits", weights=tmp_path / "weak.safetensors", catalog=catalog)
    assert (weak.outcome, weak.exit_code, weak.images) == ("FAIL", 1, 0)


def test_the_gate_of_this_project_has_a_baseline_of_today():
    catalog = Catalog.find()
    for name in catalog.files("gates"):
        found = snapshot.read(saving.baseline_path(catalog, name, None), "")
        card = catalog.model(catalog.gate(name).model)
        assert found.pinned["weights"] == catalog.weights(card)[1]
