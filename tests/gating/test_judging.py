"""What a gate knows of its scores after every look, from errors made by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.gates import Gate, GateScore
from rbench.gating import snapshot
from rbench.gating.cases import Case
from rbench.gating.judging import Judge, together


def judge_of(gate, before, of=None, how="mean"):
    """A judge over scores named as their probes are, from hand-made errors by probe."""
    errors = {name: np.array(each, float) for name, each in before.items()}
    pinned = {"samples": len(next(iter(errors.values()))), "evidence": "5" * 64}
    cases = []
    for each in gate.scores:
        probes = of or (each.name,)
        cases.append(Case(each, probes, how, snapshot.errors_of([errors[p] for p in probes], how), gate.alpha))
    return Judge(gate, cases, snapshot.Snapshot(Path("x.json"), pinned, errors))


def see(judge, samples, now):
    shown = {name: each[samples] for name, each in now.items()}
    judge.see(samples, shown, dict.fromkeys(shown, np.zeros(len(samples))))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.sampled_from([0.05, 0.2, 0.4]))
@settings(max_examples=60)
def test_when_all_images_were_seen_the_outcome_is_the_truth(pairs, delta):
    before, now = (np.array(side, float) for side in zip(*pairs, strict=True))
    judge = judge_of(Gate("g", "t", "s", "m", (GateScore("a", delta),), alpha=1e-9), {"a": before})
    see(judge, judge.order, {"a": now})
    drop = (now - before).mean()
    assert together(tuple(judge.verdicts())) == (
        "FAIL" if drop > delta + 1e-9 else "PASS"
    )  # a drop of delta is allowed


def test_a_worst_case_turns_with_any_of_its_probes_and_a_mean_by_shares():
    before = {"a": [0, 0, 1, 0], "b": [0, 1, 0, 0]}
    gate = Gate("g", "t", "s", "m", (GateScore("x", 0.45),))
    now = {"a": np.array([1.0, 1, 1, 0]), "b": np.array([0.0, 0, 1, 0])}
    found = {}
    for how in ("any", "mean"):
        judge = judge_of(gate, before, ("a", "b"), how)
        see(judge, judge.order, now)
        (found[how],) = judge.verdicts()
    assert found["any"].drop == 1 / 4
    assert (found["any"].table.first, found["any"].table.second) == (1, 0)
    assert found["mean"].drop == pytest.approx((0.5 + 0.0 + 0.5 + 0) / 4)
    assert found["mean"].table is None


def test_failures_are_corrected_over_scores_by_holm(monkeypatch):
    gate = Gate("g", "t", "s", "m", tuple(GateScore(name, 0.1) for name in "abc"), alpha=0.05)
    judge = judge_of(gate, {name: [0] * 50 for name in "abc"})
    worth = {}
    monkeypatch.setattr(Case, "above", property(lambda case: worth[case.name]))

    def failing(**evidence):
        worth.update(evidence)
        return {name for name, outcome in judge.outcomes().items() if outcome == "FAIL"}

    assert failing(a=59, b=59, c=59) == set()  # the first must reach 3/alpha = 60
    assert failing(a=60, b=39, c=39) == {"a"}  # the second 2/alpha = 40
    assert failing(a=60, b=40, c=19) == {"a", "b"}
    assert failing(a=60, b=40, c=20) == {"a", "b", "c"}
    assert failing(a=20, b=0, c=0) == set()


def test_a_wrong_decision_is_as_rare_as_alpha_says():
    random, wrong, times = np.random.default_rng(0), 0, 200
    gate = Gate("g", "t", "s", "m", (GateScore("a", 0.05), GateScore("b", 0.05)), alpha=0.1, look=10)
    for _ in range(times):
        now = {name: (random.permutation(100) < 5).astype(float) for name in "ab"}  # drops by delta, no more: no FAIL
        judge = judge_of(gate, {name: [0] * 100 for name in "ab"})
        while len(samples := judge.next(10)):
            see(judge, samples, now)
        wrong += together(tuple(judge.verdicts())) == "FAIL"
    assert wrong / times <= 0.1 + 3 * (0.1 * 0.9 / times) ** 0.5


def test_what_already_turned_counts_in_how_many_more_would_do():
    judge = judge_of(Gate("g", "t", "s", "m", (GateScore("a", 0.05),)), {"a": [0] * 500})
    (fresh,) = judge.verdicts()
    now = np.zeros(500)
    now[judge.order[:4]] = 1
    see(judge, judge.next(60), {"a": now})
    (after,) = judge.verdicts()
    assert after.more > fresh.more - 60
    for count, outcome in ((after.more - 1, "INCONCLUSIVE"), (after.more, "PASS")):
        again = judge_of(judge.gate, {"a": [0] * 500})
        see(again, again.next(60), {"a": now})
        see(again, again.next(count), {"a": now})
        assert again.outcomes()["a"] == outcome
    now[judge.order[:26]] = 1  # more than 25 of 500
    lost = judge_of(judge.gate, {"a": [0] * 500})
    see(lost, lost.next(26), {"a": now})
    assert next(lost.verdicts()).more is None
