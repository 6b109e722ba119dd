"""The last stage of a gate: what cheap attacks leave is verified by the full one, on as few images as will do."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import evidence
import numpy as np
import pytest
from quick import SUITE

from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.gates import Gate, GateScore
from rbench.gating import saving, snapshot, verifying
from rbench.gating.gate import _verified, gate
from rbench.gating.judging import Judge
from rbench.gating.text import data, text
from rbench.gating.verified import VerifiedCase
from rbench.statistics.flips import most
from rbench.statistics.survey import Survey
from rbench.types import Call

GATE = """
title = "Keeps what it has, verified"
suite = "quick"
model = "at-digits"
look = 40
[scores.worst]
delta = 0.1
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A gate on a worst case over FGSM and PGD, where PGD stands for AutoAttack, which takes minutes."""
    folder = tmp_path_factory.mktemp("verified")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifying, "AA", Call("rbench.attacks.pgd:pgd"))
        (folder / "suites").mkdir()
        suite = SUITE.format(attack="rbench.attacks.pgd:pgd", args="{ steps = 5 }", norm="linf", eps="24/255")
        (folder / "suites" / "quick.toml").write_text(suite)
        (folder / "reports" / "gates").mkdir(parents=True)
        (folder / "reports" / "gates" / "kept.toml").write_text(GATE)
        (folder / "reports" / "gates" / "few.toml").write_text(GATE.replace("look = 40", "look = 40\nverify = 10"))
        catalog = Catalog.find([folder])
        saving.save("kept", catalog=catalog, runs=folder / "runs")
        yield folder, catalog


def test_the_full_attack_verifies_some_of_what_is_left_and_the_same_model_passes(made):
    _, catalog = made
    found = gate("kept", catalog=catalog)
    (verdict,) = found.verdicts
    assert (found.outcome, verdict.by, verdict.full) == ("PASS", "verified", "second")
    assert found.images >= 490  # the cheap attacks on all, but for those that are wrong unattacked
    assert verdict.asked < verdict.images < 500  # of the others it is not known what AutoAttack would do
    assert 0 < verdict.asked < verdict.left / 2
    assert verdict.interval[1] <= 0.1
    assert f"second was run on {verdict.asked} of the {verdict.left} images that others leave." in text(found)
    assert data(found)["scores"]["worst"]["verified"] == verdict.asked


def test_a_model_that_hides_its_gradient_from_cheap_attacks_fails_with_proof(made):
    _, catalog = made
    found = gate("kept", model="separate-net-digits", catalog=catalog)
    (verdict,) = found.verdicts
    assert (found.outcome, verdict.by) == ("FAIL", "proof")
    assert verdict.interval[0] > 0.1
    assert verdict.asked < verdict.left
    assert verdict.table.first > 50


def test_a_drop_that_the_cheap_attacks_show_needs_no_other(made):
    _, catalog = made
    found = gate("kept", model="standard-digits", catalog=catalog)
    (verdict,) = found.verdicts
    assert (found.outcome, verdict.by, verdict.asked) == ("FAIL", "bet", 0)
    assert found.images < 100


def test_too_few_images_say_what_would_do(made):
    folder, catalog = made
    few = gate("kept", images=40, catalog=catalog)
    assert few.outcome == "INCONCLUSIVE"
    assert "worst: all 500 images have to be attacked, and second verifies some of them." in text(few)
    base = folder / "reports" / "gates" / "kept"
    short = gate("few", baseline=base, catalog=catalog)
    (verdict,) = short.verdicts
    assert (short.outcome, verdict.asked) == ("INCONCLUSIVE", 10)
    assert f"worst: second on {verdict.more} more of the {verdict.left} images would show a drop of at most" in text(
        short
    )
    assert 0 < verdict.more < verdict.left - 10


def test_verify_must_be_at_least_one():
    with pytest.raises(UsageError, match="verify = 0 must be at least 1"):
        Gate("g", "t", "s", "m", (GateScore("a", 0.1),), verify=0)


NONE = np.array([], int)


def outcomes_of(samples, *, fall):
    """Outcomes of some samples that all fall, or none."""
    return replace(evidence.outcomes(np.full(len(samples), not fall)), sample=samples)


def case_of(n, baseline_flips, delta, alpha=0.05):
    """A score whose baseline was fooled on some images, all of them by the full attack alone."""
    before = (np.arange(n) < baseline_flips).astype(float)
    return VerifiedCase(GateScore("a", delta), ("cheap", "full"), "any", before, alpha, "full")


def cheap(case, errors):
    case.see(np.arange(len(errors)), {"cheap": errors}, {"cheap": np.zeros(len(errors))})


def test_cheap_attacks_alone_prove_a_drop_and_never_that_there_is_none():
    case = case_of(100, 10, 0.05)
    cheap(case, np.zeros(100))
    assert not case.passes
    assert case.above < 20
    assert case.floor == pytest.approx(-0.1)
    assert case.ceiling == pytest.approx(0.9)
    assert (case.drop, case.table, case.known.sum()) == (None, None, 0)  # what AutoAttack would do is not known
    case = case_of(100, 10, 0.05)
    cheap(case, (np.arange(100) < 16).astype(float))  # 6 more than before
    assert case.above == np.inf
    assert case.floor == pytest.approx(0.06)
    assert case.by == "proof"


def test_a_score_that_draws_nothing_waits_while_images_are_drawn_for_another():
    case = case_of(4, 0, 0.05)
    case.know({"cheap": np.zeros(4)})
    assert (case.asks, case.left.any()) == ((), False)
    case.see(np.arange(2), {}, {})
    assert not case.passes  # that takes the full attack
    assert not case.known.any()


def test_ends_by_hand():
    case = case_of(100, 10, 0.05)
    cheap(case, np.zeros(100))
    case.take(Survey(100, 100, certain=10, certain_flips=8, drawn=20, flips=1, alpha=0.05), np.arange(30), np.arange(9))
    assert case.floor == pytest.approx((9 - 10) / 100)
    assert case.ceiling == pytest.approx((8 + most(1, 20, 90, 0.05) - 10) / 100)
    assert case.drop == pytest.approx((8 + 90 / 20 - 10) / 100)
    assert case.interval == (pytest.approx(case.floor), case.ceiling)
    assert case.known.sum() == 30
    assert (case.table.first, case.table.second) == (0, 1)  # of the 10 that fell before, the last stands
    assert most(1, 20 + case.more, 90, 0.05) <= 7 < most(1, 19 + case.more, 90, 0.05)  # 15 may fall, 8 did for certain


@pytest.mark.parametrize("flips", [15, 16, 25, 60])
def test_a_wrong_pass_is_as_rare_as_alpha_says_whenever_one_looks(flips):
    random, passed, times, n = np.random.default_rng(flips), 0, 300, 200
    for _ in range(times):
        case = case_of(n, 10, 0.03)  # 16 or more of 200 that fall are too many
        cheap(case, np.zeros(n))
        order = random.permutation(np.arange(n) < flips)
        for drawn in range(10, n, 10):
            case.take(Survey(n, n, drawn=drawn, flips=int(order[:drawn].sum()), alpha=0.05), NONE, NONE)
            if case.passes:
                passed += 1
                break
    if flips > 16:
        assert passed / times <= 0.05 + 3 * (0.05 * 0.95 / times) ** 0.5
    else:
        assert passed > 0


@pytest.mark.parametrize("verify", [None, 3])
def test_what_only_the_full_attack_fooled_before_is_verified_first(monkeypatch, verify):
    n, fooled_before = 100, [3, 50]
    errors = {"cheap": np.zeros(n), "full": np.isin(np.arange(n), fooled_before).astype(float)}
    held = snapshot.Snapshot(Path("x.json"), {"samples": n, "evidence": "5" * 64}, errors)
    case = case_of(n, 0, 0.05)
    judge = Judge(Gate("g", "t", "s", "m", (case.score,), verify=verify), [case], held)
    margins = np.where(np.isin(np.arange(n), fooled_before), 9.0, np.arange(n) / n)
    case.see(np.arange(n), {"cheap": (np.arange(n) == 7).astype(float)}, {"cheap": margins})
    asked = []

    def some(_names, samples):
        asked.append(samples.tolist())
        return {"full": outcomes_of(samples, fall=False)}

    ask = SimpleNamespace(some=some)
    list(_verified(ask, judge, case))
    assert asked[0] == fooled_before
    others = [sample for part in asked[1:] for sample in part]
    assert len(set(others)) == len(others)
    assert not {7, *fooled_before} & set(others)
    assert case.found.asked == (3 if verify else 2 + len(others))
    assert case.passes == (verify is None)


def test_nothing_is_verified_once_the_gate_has_failed():
    errors = {"cheap": np.zeros(50), "full": np.zeros(50)}
    held = snapshot.Snapshot(Path("x.json"), {"samples": 50, "evidence": "5" * 64}, errors)
    cases = [replace(case_of(50, 0, 0.1), score=GateScore(name, 0.1)) for name in "ab"]
    judge = Judge(Gate("g", "t", "s", "m", tuple(c.score for c in cases), look=10), cases, held)
    for case in cases:
        cheap(case, np.zeros(50))
    asked = []

    def some(_names, samples):
        asked.append(len(samples))
        return {"full": outcomes_of(samples, fall=True)}  # all fall

    list(_verified(SimpleNamespace(some=some), judge, cases[0]))
    assert judge.outcomes()["a"] == "FAIL"
    assert judge.open == ()
    assert asked == [1, 10]  # 6 of 50 that fall are too many
