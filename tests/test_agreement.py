"""The comparison of two attacks, against a count by hand."""

from dataclasses import replace

import numpy as np
import pytest
from quick import contents

import rbench
from rbench.agreement import compare, stage
from rbench.report.agreements import agreements
from rbench.types import Call, Outcomes


def outcomes(correct, samples):
    zeros = np.zeros(len(samples), dtype=np.int64)
    margin = np.zeros(len(samples))
    return Outcomes(np.array(samples), zeros, zeros, zeros, np.where(correct, 0, 1), margin, margin, zeros, zeros)


def test_numbers_agreement_and_samples():
    samples = [3, 5, 8, 13, 21]
    row = compare("aa", outcomes([1, 1, 0, 0, 1], samples), outcomes([1, 0, 1, 0, 0], samples))
    assert (row.native.value, row.theirs.value, row.native.n) == (0.6, 0.4, 5)
    assert (row.native_only, row.theirs_only) == ((8,), (5, 21))
    assert row.share == pytest.approx(2 / 5)
    text = agreements([row], "somebody")
    assert "+20.0" in text
    assert "40.0%" in text
    assert "aa: fooled only by the native attack: 8; fooled only by somebody: 5, 21." in text


def test_full_agreement_and_other_samples():
    same = outcomes([1, 0], [0, 1])
    row = compare("aa", same, same)
    assert (row.share, row.native_only, row.theirs_only) == (1, (), ())
    assert "aa: the same samples fall." in agreements([row], "somebody")
    with pytest.raises(ValueError, match="same samples"):
        compare("aa", same, outcomes([1, 0], [0, 2]))


def test_a_cross_check_is_made_of_two_ordinary_runs_and_resumes(suite, small_net, tmp_path):
    catalog = suite("rbench.attacks.apgd:apgd", "{ steps = 4 }")
    (row,) = rbench.crosscheck(small_net, "quick", "pyautoattack", limit=30, catalog=catalog)
    native = rbench.evaluate(small_net, "quick", limit=30, probes=["second"], catalog=catalog)
    theirs = rbench.evaluate(small_net, "quick", limit=30, backend="pyautoattack", catalog=catalog)
    assert (native.fresh_blocks, theirs.fresh_blocks) == (0, 0)
    assert (row.probe, row.native.value) == ("second", native.scores["second"].value)
    assert row.theirs.value == theirs.scores["second"].value
    before = contents(tmp_path / "runs")
    assert rbench.crosscheck(small_net, "quick", "pyautoattack", limit=30, catalog=catalog) == (row,)
    assert contents(tmp_path / "runs") == before


def test_a_stage_counts_only_what_the_model_gets_right():
    """Of samples 0 to 4, 4 is wrong from the start; 0 falls to both, 1 to the native attack, 2 to the other."""
    samples = range(5)
    clean, native, theirs = (outcomes(flags, samples) for flags in ([1, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 1, 0, 1, 0]))
    native = replace(native, distance=np.array([0.5, 9, 9, 9, 9.0]))
    theirs = replace(theirs, distance=np.array([0.25, 9, 9, 9, 9.0]))
    calls = (Call("a:a"), Call("b:b"))
    row = stage("A", "x", calls, clean, native, theirs, minimum=True)
    assert (row.n, row.both, row.native_only, row.theirs_only, row.distances) == (4, (0,), (1,), (2,), (0.5, 0.25))
    assert stage("A", "x", calls, clean, native, theirs).distances is None
