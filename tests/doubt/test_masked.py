"""Models that hide their gradient must be noticed by the code written beside them; honest models must not be."""

import json

import masked
import pytest
import torch

import rbench
from rbench.catalog import Catalog
from rbench.doubt import probing
from rbench.errors import RbenchError

SUITE = """
version = 1
title = "masked models of digits"
dataset = "digits"
data = { use = "rbench.data.digits:digits", args = { split = "test" } }
threat = { norm = "linf", eps = "24/255" }
diagnose = true
[probes.clean]
[probes.fgsm]
attack = { use = "rbench.attacks.fgsm:fgsm" }
[probes.pgd20]
attack = { use = "rbench.attacks.pgd:pgd" }
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.pgd20]
use = "rbench.metrics:accuracy"
of = ["pgd20"]
"""

# What each must raise was written down from the list of diagnostics before anything was run.
REFUSED = {
    "RB104": lambda: masked.Back(masked.undefined),
    "RB105": lambda: masked.Back(masked.noisy),
    "RB106": lambda: masked.Company(keeps=False),
    "RB107": lambda: masked.Company(keeps=True),
    "RB109": lambda: masked.Back(lambda z: z.softmax(1)),
    "RB111": lambda: masked.Front(torch.Tensor.detach),
}
MASKED = {
    "detached": (masked.Detached, {"RB114": "error"}),
    "rounded": (lambda: masked.Front(masked.rounded), {"RB112": "error", "RB123": "error"}),
    "sign": (lambda: masked.Readout(torch.sign), {"RB112": "error", "RB123": "error", "RB125": "error"}),
    "winners": (lambda: masked.Readout(masked.winners_take_all, layers=2), {"RB116": "warn"}),
    "temperature": (lambda: masked.Back(lambda z: 1000 * z, "standard-digits"), {"RB110": "warn", "RB131": "warn"}),
}
HONEST = {
    "standard-digits": lambda: rbench.load_model("standard-digits"),
    "at-digits": lambda: rbench.load_model("at-digits"),
    "ews-digits": lambda: rbench.load_model("ews-digits"),
    "linear": lambda: masked.Readout(lambda z: z),
    "relu": lambda: masked.Readout(torch.relu, layers=2),
    "tanh": lambda: masked.Readout(torch.tanh),
}


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """Evaluate on few samples, where random search costs most of the time, by less of it."""
    monkeypatch.setattr(probing, "QUERIES", 150)
    monkeypatch.setattr(probing, "DRAWS", 50)

    def run(build, limit):
        (tmp_path / "suites").mkdir(exist_ok=True)
        (tmp_path / "suites" / "masked.toml").write_text(SUITE)
        return rbench.evaluate(build(), "masked", limit=limit, catalog=Catalog.find([tmp_path]))

    return run


@pytest.mark.parametrize("code", REFUSED)
def test_what_breaks_the_rules_is_refused_by_its_code(evaluate, code):
    with pytest.raises(RbenchError, match=rf"^\[{code}\] ") as caught:
        evaluate(REFUSED[code], 16)
    assert caught.value.code == code


@pytest.mark.parametrize("name", MASKED)
def test_masked_models_raise_the_code_they_should(evaluate, name):
    build, expected = MASKED[name]
    run = evaluate(build, 16)
    levels = {finding.code: finding.level for finding in run.findings}
    assert expected.items() <= levels.items()
    assert run.verdict == ("unreliable" if "error" in levels.values() else "suspect")
    written = json.loads((run.folder / "verdict.json").read_text())
    assert (written["verdict"], written["diagnosed"]) == (run.verdict, True)
    assert {finding["code"] for finding in written["findings"]} == levels.keys()
    assert expected.keys() <= {finding.code for finding in run.scores["pgd20"].findings}
    assert not run.scores["clean"].findings


@pytest.mark.parametrize("name", HONEST)
def test_honest_models_raise_nothing(evaluate, name):
    run = evaluate(HONEST[name], 24)
    assert [finding for finding in run.findings if finding.level != "info"] == []
    assert run.verdict == "reliable"
    assert run.sheet.verdicts == {(run.model, "masked"): "reliable"}
