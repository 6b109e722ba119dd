"""Paired comparisons: McNemar by hand, Tango's interval by its definition and by what it covers."""

from math import comb

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest

from rbench.statistics.paired import Paired

TABLES = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 60)).map(lambda t: Paired(t[0], t[1], sum(t)))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (3, 1, 2 * (1 + 4) / 16), (2, 2, 1.0)],
)
def test_mcnemar_by_hand(first, second, p):
    assert Paired(first, second, 20).p_value == p


@given(TABLES)
def test_mcnemar_is_the_binomial_test_of_discordant_images(table):
    n = table.first + table.second
    assert table.p_value == pytest.approx(binomtest(table.first, n, 0.5).pvalue if n else 1.0)


@given(TABLES, st.floats(-0.9, 0.9))
@example(Paired(0, 0, 1), 2.354824689672132e-201)
@example(Paired(3, 0, 4), -1e-9)
def test_the_score_is_that_of_the_likeliest_table_with_that_difference(table, d):
    a, b, n = table.first, table.second, table.n

    def unlikely(q):  # of only the second, q; of only the first, q + d
        parts = ((a, q + d), (b, q), (n - a - b, 1 - 2 * q - d))
        return -sum(count * np.log(max(share, 1e-300)) for count, share in parts if count)

    found = minimize_scalar(unlikely, bounds=(max(0.0, -d), (1 - d) / 2), method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * found + d - d * d)
    assert table.score(d) == pytest.approx((a - b - n * d) / np.sqrt(variance), rel=1e-3, abs=1e-3)


@given(TABLES)
def test_the_interval_holds_the_estimate_and_turns_with_its_sides(table):
    low, high = table.interval()
    assert -1 <= low <= table.difference <= high <= 1
    turned = Paired(table.second, table.first, table.n).interval()
    assert (turned.high, turned.low) == pytest.approx((-low, -high))
    for end in (low, high):
        assert abs(table.score(end)) <= 1.959964 + 1e-6
        assert abs(table.score(end + np.sign(end - table.difference) * 1e-6)) >= 1.959964 - 1e-2 or abs(end) == 1


@pytest.mark.parametrize(("p", "q"), [(0.1, 0.1), (0.3, 0.1), (0.02, 0.05)])
def test_it_covers_the_truth_about_as_often_as_it_says(p, q):
    n, covered = 30, 0.0
    for a in range(n + 1):
        for b in range(n - a + 1):
            low, high = Paired(a, b, n).interval()
            if low - 1e-12 <= p - q <= high + 1e-12:
                covered += comb(n, a) * comb(n - a, b) * p**a * q**b * (1 - p - q) ** (n - a - b)
    assert 0.93 <= covered <= 1


def test_the_least_drop_is_the_formula():
    # 2.49 sqrt(discordance / n): 9% of 10,000 give 0.75 points, of 1,000 2.4 points
    assert Paired(450, 450, 10_000).least_drop == pytest.approx(0.0075, abs=5e-5)
    assert Paired(45, 45, 1000).least_drop == pytest.approx(0.0236, abs=1e-4)
    few = Paired(0, 0, 500).least_drop  # five lost and none won are the fewest that the exact test calls a drop
    assert binomtest(4, 4, 0.5, "greater").pvalue > 0.05 > binomtest(5, 5, 0.5, "greater").pvalue
    assert binom.sf(4, 500, few) == pytest.approx(0.8, abs=0.01)
    assert Paired(0, 0, 2).least_drop == 1


def test_many_discordant_images_take_no_time_and_give_the_same():
    assert Paired(700, 900, 5000).p_value == pytest.approx(binomtest(700, 1600, 0.5).pvalue)
    assert Paired(20_000, 20_000, 50_000).p_value == 1


@pytest.mark.parametrize(("first", "second", "n"), [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_tables_that_make_no_sense_are_refused(first, second, n):
    with pytest.raises(ValueError, match="make no sense"):
        Paired(first, second, n)
