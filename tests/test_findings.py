"""What a search finds, against SciPy, against planted truth, and against noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from rbench.findings import gain, least, linear, rank_correlation, thirds

RANDOM = np.random.default_rng(0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_correlation_is_spearmans_ties_included(seed):
    random = np.random.default_rng(seed)
    one = random.integers(0, 6, 30)
    other = one + random.normal(0, 3, 30).round()
    found = rank_correlation(one, other)
    assert found.value == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    assert found.interval.low <= found.value <= found.interval.high
    assert found.n == 30


def test_correlation_covers_what_was_planted_and_shrinks_with_candidates():
    one = RANDOM.normal(size=400)
    other = one + RANDOM.normal(size=400)
    many, few = rank_correlation(one, other), rank_correlation(one[:25], other[:25])
    assert many.interval.low < 0.69 < many.interval.high  # Spearman's of normals with Pearson's sqrt(1/2): 0.690
    assert many.interval.low > 0.5
    assert few.interval.high - few.interval.low > 2 * (many.interval.high - many.interval.low)


@pytest.mark.parametrize("values", [[1.0] * 20, [1.0, 2.0, 3.0]])
def test_too_few_or_constant_candidates_have_no_correlation(values):
    found = rank_correlation(values, np.arange(len(values)))
    assert np.isnan([found.value, *found.interval]).all()


def test_the_filter_keeps_the_least_sum_and_says_what_it_wins():
    distances = np.array([[1.0, 9.0], [2.0, 2.0], [5.0, 1.0], [3.0, 1.0], [0.0, 20.0]])
    assert least(distances, 0.4).tolist() == [False, True, False, True, False]  # 4 and 4, before 6, 10 and 20
    assert least(distances, 0.01).sum() == 1
    assert least(distances, 1.0).all()
    won = gain([10, 20, 30, 40, 0], [False, True, False, True, False])
    assert won.value == pytest.approx(30 - 20)
    assert won.interval.low <= won.value <= won.interval.high


def test_a_linear_classifier_finds_the_operations_that_count():
    bits = RANDOM.integers(0, 2, (200, 28)).astype(float)
    found = linear(bits, bits[:, 3] + bits[:, 8] - bits[:, 20] + 0.1 * RANDOM.normal(size=200), 0.3)
    assert found.n == 120
    assert found.accuracy > max(0.9, found.chance)
    clear = {k for k in range(28) if found.low[k] > 0 or found.high[k] < 0}
    assert {3, 8, 20} <= clear
    assert found.weights[3] > 0 > found.weights[20]
    assert found.positive == pytest.approx((found.weights > 0).mean())


def test_a_linear_classifier_finds_nothing_in_noise():
    bits = RANDOM.integers(0, 2, (100, 28)).astype(float)
    found = linear(bits, RANDOM.normal(size=100), 0.3)
    assert 0.25 < found.accuracy < 0.7
    assert 0.5 < found.chance < 0.8
    assert linear(bits[:10], RANDOM.normal(size=10), 0.3) is None


def test_thirds_keep_equal_budgets_together():
    values = [5, 5, 5, 6, 6, 7, 8, 9, 9]
    found = thirds(values).tolist()
    assert found == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert thirds([4, 4, 4, 4]).tolist() == [0, 0, 0, 0]
