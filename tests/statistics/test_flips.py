"""The bound on flips: by enumeration right at any look, where one for a single look is wrong."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import hypergeom

from rbench.statistics.flips import most

ALPHA = 0.05


def test_a_whole_sample_leaves_no_doubt_and_none_leaves_all():
    assert [most(k, 9, 9) for k in range(10)] == list(range(10))
    assert most(0, 0, 9) == 9


def at_one_look(flips, drawn, items):
    """The same for one look only: the largest count of which so few flips are likelier than alpha, exactly."""
    counts = np.arange(flips, items - drawn + flips + 1)
    return int(counts[hypergeom.cdf(flips, items, counts, drawn) > ALPHA].max())


@pytest.mark.parametrize(("flips", "drawn", "items"), [(0, 300, 6280), (1, 300, 6280), (0, 50, 400), (3, 200, 600)])
def test_it_asks_little_more_than_the_bound_for_one_look(flips, drawn, items):
    exact = at_one_look(flips, drawn, items)
    assert exact <= most(flips, drawn, items) <= 1.75 * exact + 1


@pytest.mark.parametrize("items", [1, 4, 8])
def test_at_any_look_it_ever_fails_with_probability_alpha_at_most(items):
    for alpha in (0.05, 0.3):
        bounds = {(k, m): most(k, m, items, alpha) for m in range(items + 1) for k in range(m + 1)}
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
                known[k, m] = most(k, m, 600, ALPHA)
        broken += any(known[k, m] < count for m, k in zip(drawn.tolist(), row.tolist(), strict=True))
    assert broken / len(seen) <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / len(seen)) ** 0.5


def test_the_bound_for_one_look_breaks_when_looked_at_sixty_times():
    """What the bound for any look is for: this is the mistake that it prevents."""
    drawn, seen = looks(60)
    known = {(k, m): at_one_look(k, m, 600) for m in drawn.tolist() for k in range(int(seen.max()) + 1) if k <= m}
    broken = sum(any(known[k, m] < 60 for m, k in zip(drawn.tolist(), row.tolist(), strict=True)) for row in seen)
    assert broken / len(seen) > 2 * ALPHA


@pytest.mark.parametrize(("flips", "drawn", "items"), [(-1, 2, 5), (3, 2, 5), (1, 6, 5)])
def test_counts_that_make_no_sense_are_refused(flips, drawn, items):
    with pytest.raises(ValueError, match="make no sense"):
        most(flips, drawn, items)
    for alpha in (0, 1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            most(0, 1, 2, alpha)
