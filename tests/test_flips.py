"""Bounds on flips: exact by enumeration, valid at any look, and wrong as soon as a look too many is taken."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from rbench.flips import enough, most, most_at_any_look

ALPHA = 0.05


@pytest.mark.parametrize("items", [1, 2, 5, 13, 40])
def test_the_bound_is_too_small_with_probability_alpha_at_most(items):
    for drawn in range(items + 1):
        bound = np.array([most(k, drawn, items, ALPHA) for k in range(drawn + 1)])
        for flips in range(items + 1):
            chance = hypergeom.pmf(np.arange(drawn + 1), items, flips, drawn)
            assert chance[bound < flips].sum() <= ALPHA + 1e-12


@given(st.integers(1, 30), st.data())
def test_it_is_the_largest_count_that_is_not_refuted(items, data):
    drawn = data.draw(st.integers(0, items))
    flips = data.draw(st.integers(0, drawn))

    def chance(count):  # of so few flips, by counting samples
        ways = [comb(count, k) * comb(items - count, drawn - k) for k in range(flips + 1)]
        return sum(ways) / comb(items, drawn)

    alpha = 0.0512345  # no chance is just that, so that rounding decides nothing
    kept = [count for count in range(flips, items - drawn + flips + 1) if chance(count) > alpha]
    assert most(flips, drawn, items, alpha) == max(kept, default=flips)


@pytest.mark.parametrize("bound", [most, most_at_any_look])
def test_a_whole_sample_leaves_no_doubt_and_none_leaves_all(bound):
    assert [bound(k, 9, 9) for k in range(10)] == list(range(10))
    assert bound(0, 0, 9) == 9


@pytest.mark.parametrize("items", [1, 4, 8])
def test_at_any_look_it_ever_fails_with_probability_alpha_at_most(items):
    for alpha in (0.05, 0.3):
        bounds = {(k, m): most_at_any_look(k, m, items, alpha) for m in range(items + 1) for k in range(m + 1)}
        for count in range(items + 1):
            orders = list(combinations(range(items), count))  # the places of the flips, all alike in probability
            failed = sum(
                any(bounds[sum(place < m for place in places), m] < count for m in range(items + 1))
                for places in orders
            )
            assert failed <= alpha * len(orders) + 1e-9


def looks(count, items=600, times=400, every=5):
    """The flips seen at 60 looks, in random orders of a population with so many."""
    random = np.random.default_rng(count)
    population = np.arange(items) < count
    orders = np.array([random.permutation(population) for _ in range(times)])
    return np.arange(every, 60 * every + 1, every), orders.cumsum(axis=1)[:, every - 1 : 60 * every : every]


@pytest.mark.parametrize("count", [0, 3, 20, 60, 200])
def test_sixty_looks_do_not_break_it(count):
    drawn, seen = looks(count)
    known = {}
    broken = 0
    for row in seen:
        for m, k in zip(drawn.tolist(), row.tolist(), strict=True):
            if (k, m) not in known:
                known[k, m] = most_at_any_look(k, m, 600, ALPHA)
        broken += any(known[k, m] < count for m, k in zip(drawn.tolist(), row.tolist(), strict=True))
    assert broken / len(seen) <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / len(seen)) ** 0.5


def test_the_bound_for_one_look_breaks_when_looked_at_sixty_times():
    """What the bound for any look is for: this is the mistake that it prevents."""
    drawn, seen = looks(60)
    known = {(k, m): most(k, m, 600, ALPHA) for m in drawn.tolist() for k in range(int(seen.max()) + 1) if k <= m}
    broken = sum(any(known[k, m] < 60 for m, k in zip(drawn.tolist(), row.tolist(), strict=True)) for row in seen)
    assert broken / len(seen) > 2 * ALPHA


@pytest.mark.parametrize(("items", "tolerated"), [(6280, 50), (300, 3), (10, 0), (10, 10)])
def test_the_smallest_sample_that_is_enough(items, tolerated):
    drawn = enough(items, tolerated)
    assert most(0, drawn, items) <= tolerated
    assert drawn == 0 or most(0, drawn - 1, items) > tolerated


@pytest.mark.parametrize(("flips", "drawn", "items"), [(-1, 2, 5), (3, 2, 5), (1, 6, 5)])
def test_counts_that_make_no_sense_are_refused(flips, drawn, items):
    for bound in (most, most_at_any_look):
        with pytest.raises(ValueError, match="make no sense"):
            bound(flips, drawn, items)
    for alpha in (0, 1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            most(0, 1, 2, alpha)
