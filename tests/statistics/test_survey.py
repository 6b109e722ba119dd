"""Surveys: the bound covers, the estimate is unbiased, and all asked is the evaluation itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick import SUITE

from rbench import evaluate, surveying
from rbench.catalog import Catalog
from rbench.cli import run as command
from rbench.errors import UsageError
from rbench.gating import verifying
from rbench.statistics.survey import Survey, strata
from rbench.types import Call

POPULATIONS = {"rare": 4, "moderate": 20, "masked": 60}  # flips among 300 survivors of 400 images


def draws(flips, times, seed=0):
    random = np.random.default_rng(seed)
    population = np.arange(300) < flips
    return np.array([random.permutation(population) for _ in range(times)])


@pytest.mark.parametrize("flips", [0, *POPULATIONS.values(), 300])
def test_the_lower_end_holds_whenever_one_stops(flips):
    missed = 0
    truth = (300 - flips) / 400
    for order in draws(flips, 100):
        seen = np.cumsum(order)
        looks = [Survey(400, 300, drawn=m, flips=int(seen[m - 1])) for m in range(25, 301, 25)]
        assert all(each.high >= truth - 1e-12 for each in looks)
        assert looks[-1].low == looks[-1].high == looks[-1].estimate == truth
        missed += any(each.low > truth + 1e-12 for each in looks)
    assert missed / 100 <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5


@pytest.mark.parametrize("flips", POPULATIONS.values())
def test_the_estimate_is_unbiased(flips):
    estimates = [
        Survey(400, 300, 30, int(order[:30].sum()), 60, int(order[30:90].sum())).estimate
        for order in draws(flips, 2000)
    ]
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates) - (300 - flips) / 400) <= 4 * error


@given(st.integers(0, 40), st.floats(0, 1), st.integers(0, 5))
def test_strata_are_the_least_margins_and_the_others_at_random(count, share, seed):
    random = np.random.default_rng(count)
    survivors, margins = np.sort(random.choice(1000, count, replace=False)), random.random(count)
    first = round(share * count)
    certain, rest = strata(survivors, margins, first, seed)
    assert sorted([*certain, *rest]) == survivors.tolist()
    assert len(certain) == first
    known = dict(zip(survivors.tolist(), margins.tolist(), strict=True))
    if len(certain) and len(rest):
        assert max(known[int(s)] for s in certain) <= min(known[int(s)] for s in rest)
    again = strata(survivors, margins, first, seed)
    assert [part.tolist() for part in again] == [certain.tolist(), rest.tolist()]


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A suite whose PGD stands for AutoAttack, which takes minutes."""
    monkeypatch.setattr(verifying, "AA", Call("rbench.attacks.pgd:pgd"))
    (tmp_path / "suites").mkdir()
    suite = SUITE.format(attack="rbench.attacks.pgd:pgd", args="{ steps = 10 }", norm="linf", eps="24/255")
    suite = suite.replace('of = ["clean", "first", "second"]', 'of = ["clean", "second", "first"]')
    (tmp_path / "suites" / "bare.toml").write_text(suite)
    suite += '[scores.first]\nuse = "rbench.metrics:accuracy"\nof = ["first"]\n'
    (tmp_path / "suites" / "quick.toml").write_text(suite)
    return tmp_path


def test_a_survey_brackets_the_full_protocol_and_ends_in_it(shelf, capsys):
    catalog = Catalog.find([shelf])
    options = {"limit": 150, "catalog": catalog}
    rough = surveying.survey("at-digits", "quick", 3.0, runs=shelf / "a", **options)
    assert "second" not in rough.evaluation.evidence
    assert rough.survey.width <= 0.03
    assert rough.survey.drawn < rough.survey.rest
    exact = surveying.survey("at-digits", "quick", 0.01, runs=shelf / "b", **options)
    assert exact.survey.width == 0
    whole = evaluate("at-digits", "quick", runs=shelf / "c", **options)
    truth = whole.scores["worst"].value
    assert exact.survey.low == exact.survey.high == pytest.approx(truth)
    assert rough.survey.low <= truth <= rough.survey.high
    passes = whole.evidence["second"]
    assert rough.passes < passes.forwards.sum() + passes.backwards.sum()
    known = surveying.survey("at-digits", "quick", 3.0, runs=shelf / "c", **options)  # it was run on all
    assert (known.passes, known.survey.low, known.survey.high) == (0, pytest.approx(truth), pytest.approx(truth))
    words = ["eval", "--suite", "quick", "--model", "at-digits", "--catalog", str(shelf), "--runs", str(shelf / "c")]
    assert command([*words, "--limit", "150", "--precision", "3", "--quiet"]) == 0
    assert f"at most {100 * truth:.2f} %, which is proven" in capsys.readouterr().out
    assert command([*words, "--precision", "3", "--probe", "clean"]) == 3
    assert "--precision goes without --probe" in capsys.readouterr().err


def test_what_makes_no_sense_is_refused(shelf):
    catalog = Catalog.find([shelf])
    for precision in (0, -1, 100):
        with pytest.raises(UsageError, match="between 0 and 100 points"):
            surveying.survey("at-digits", "quick", precision, catalog=catalog)
    with pytest.raises(UsageError, match="with AutoAttack among others; suite 'digits-c' has none"):
        surveying.survey("at-digits", "digits-c", 1, catalog=catalog)
    with pytest.raises(UsageError, match="probe 'first' of suite 'bare' has no score without AutoAttack; give it one"):
        surveying.survey("at-digits", "bare", 1, catalog=catalog)
    with pytest.raises(UsageError, match="judges random models by 20 draws"):
        surveying.survey("at-digits", "digits-rand", 1, catalog=catalog)
    quick = (shelf / "suites" / "quick.toml").read_text()
    (shelf / "suites" / "short.toml").write_text(quick.replace("[probes.first]", "[probes.first]\nlimit = 20"))
    with pytest.raises(UsageError, match="do not all ask every image once"):
        surveying.survey("at-digits", "short", 1, catalog=catalog, limit=40, runs=shelf / "d")
