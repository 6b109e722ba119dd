import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from rbench.stats import clopper_pearson, wilson

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
