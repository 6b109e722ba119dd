import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from rbench.statistics.intervals import clopper_pearson, clustered, wilson

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.9, 0.95, 0.99]))
def test_intervals_agree_with_scipy(count, confidence):
    k, n = count
    for method, ours in (("wilson", wilson), ("exact", clopper_pearson)):
        theirs = binomtest(k, n).proportion_ci(confidence, method)
        assert ours(k, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(counts)
def test_an_interval_holds_the_share_and_stays_in_0_1(count):
    k, n = count
    for interval in (wilson(k, n), clopper_pearson(k, n)):
        assert 0 <= interval.low <= k / n <= interval.high <= 1


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
def test_clopper_pearson_covers_at_least_95_percent_exactly(p):
    n = 60
    covered = sum(
        binom.pmf(k, n, p) for k in range(n + 1) if clopper_pearson(k, n).low <= p <= clopper_pearson(k, n).high
    )
    assert covered >= 0.95


def test_a_hand_computed_wilson_interval():
    # k = 8, n = 10, z = 1.959964: centre (8 + 1.920729)/13.841459, half z/13.841459 sqrt(1.6 + 0.960365)
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    for method in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="no proportion"):
            method(k, n)


@given(counts)
def test_of_zeros_and_ones_the_clustered_interval_is_wilsons(count):
    k, n = count
    assert clustered(np.arange(n) < k) == pytest.approx(wilson(k, n))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(-2, 2), st.floats(0.1, 5))
def test_a_clustered_interval_holds_the_mean_is_within_wilsons_and_moves_with_the_scale(values, bottom, width):
    low, high = clustered(values)
    mean = float(np.mean(values))
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    widest = wilson(min(sum(values), len(values)), len(values))
    assert widest.low - 1e-9 <= low <= high <= widest.high + 1e-9
    scaled = clustered([bottom + width * value for value in values], bottom + width, bottom)
    assert scaled == pytest.approx((bottom + width * low, bottom + width * high), abs=1e-6)


def test_a_hand_computed_clustered_interval():
    # p = 1/2; squares 4 x 1/16, and 1/16 from each end seen; s^2 = (1/4 + 1/8)/4; size 4 x 1/4 / (3/32) = 32/3
    assert tuple(clustered([0.25, 0.25, 0.75, 0.75])) == pytest.approx(tuple(wilson(16 / 3, 32 / 3)))
    # the same, in [1, 3]
    assert clustered([1.5, 1.5, 2.5, 2.5], 3, 1) == pytest.approx([1 + 2 * end for end in wilson(16 / 3, 32 / 3)])


def test_equal_values_promise_no_certainty():
    for value in (0.0, 1.0):
        assert clustered([value] * 30) == pytest.approx(wilson(value * 30, 30))
    low, high = clustered([0.4] * 30)
    assert high - low > 0.05


def covered(cells, n, mean, alike, runs=300):
    """How often intervals by image, and by cell, hold the mean error of images whose cells tend to fail together."""
    rng = np.random.default_rng(cells)
    odds = np.array([mean, 1 - mean]) * (1 - alike) / alike  # the cells of an image have the correlation `alike`
    hits = np.zeros(2)
    for _ in range(runs):
        wrong = rng.binomial(cells, rng.beta(*odds, size=n))
        by_cell = wilson(int(wrong.sum()), n * cells)
        for place, (low, high) in enumerate((clustered(wrong / cells), by_cell)):
            hits[place] += low <= mean <= high
    return hits / runs


@pytest.mark.parametrize("mean", [0.03, 0.3, 0.8])
@pytest.mark.parametrize("cells", [5, 75])
def test_intervals_by_image_cover_where_intervals_by_cell_do_not(cells, mean):
    by_image, by_cell = covered(cells, 200, mean, alike=0.4)
    assert by_image >= 0.93
    assert by_cell <= (0.85 if cells == 5 else 0.35)


def test_values_outside_of_their_range_are_refused():
    for values, top, bottom in (([], 1, 0), ([1.1], 1, 0), ([-0.1], 1, 0), ([float("nan")], 1, 0), ([0.0], 0, 0)):
        with pytest.raises(ValueError, match="a mean asks for values in"):
            clustered(values, top, bottom)
