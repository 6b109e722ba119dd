"""Areas under ROC curves: against scikit-learn, hand-counted pairs and simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from rbench.statistics.intervals import paired_auc, wilson

SCORES = st.integers(0, 6).map(float)


@settings(deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=12))
def test_the_value_is_that_of_scikit_learn_ties_and_all(pairs):
    higher, lower = np.array(pairs).T
    found = paired_auc(higher, lower)
    labels = np.repeat([1, 0], len(pairs))
    assert found.value == pytest.approx(roc_auc_score(labels, np.concatenate([higher, lower])))
    assert found.interval.low <= found.value <= found.interval.high


def test_pairs_by_hand():
    """Of 9 pairs 6 are in order and one is a tie: 6.5/9. The variance is that of a + b, image by image."""
    higher, lower = [3.0, 2.0, 5.0], [1.0, 2.0, 4.0]
    a = np.array([2, 1.5, 3]) / 3  # of the lower ones below 3, 2 and 5
    b = np.array([3, 2.5, 1]) / 3  # of the higher ones above 1, 2 and 4
    found = paired_auc(higher, lower)
    assert found.value == pytest.approx(6.5 / 9)
    value, variance = 6.5 / 9, (a + b).var(ddof=1) / 3
    size = min(3, value * (1 - value) / variance)
    assert found.interval == pytest.approx(wilson(value * size, size))


def test_perfect_and_useless_detectors():
    scores = np.arange(50.0)
    assert paired_auc(scores + 100, scores) == (1.0, wilson(50, 50))
    assert paired_auc(scores, scores + 100) == (0.0, wilson(0, 50))
    assert paired_auc(np.zeros(50), np.zeros(50)) == (0.5, wilson(25, 50))


@pytest.mark.parametrize("correlation", [0.0, 0.8, -0.8])
@pytest.mark.parametrize("auc", [0.6, 0.9, 0.98])
def test_intervals_hold_the_truth(auc, correlation):
    """Scores of an image may depend on one another; 300 simulated sets of 100 images."""
    rng = np.random.default_rng(0)
    shift = np.sqrt(2) * norm.ppf(auc)
    hits = 0
    for _ in range(300):
        lower = rng.standard_normal(100)
        higher = shift + correlation * lower + np.sqrt(1 - correlation**2) * rng.standard_normal(100)
        low, high = paired_auc(higher, lower).interval
        hits += low <= auc <= high
    assert hits / 300 > 0.92


@pytest.mark.parametrize(("higher", "lower"), [([1.0], [0.0]), ([1.0, 2.0], [0.0]), ([1.0, np.nan], [0.0, 0.0])])
def test_what_is_no_pair_of_scores_is_refused(higher, lower):
    with pytest.raises(ValueError, match="are no two of each of two or more images"):
        paired_auc(higher, lower)
