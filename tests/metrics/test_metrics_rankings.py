import numpy as np
import pytest
import torch
from grids import zipf_distance
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from rbench import views
from rbench.metrics import top5_distance
from rbench.metrics.rankings import FARTHEST_TOP5, FARTHEST_ZIPF

pairs = st.integers(5, 30).flatmap(lambda k: st.tuples(st.permutations(range(k)), st.permutations(range(k))))


def ranking(sigma):
    """The second ranking, if the first is 0, 1, 2, ... and class i - 1 has the rank sigma(i) in the second."""
    return np.argsort(sigma)


@pytest.mark.parametrize(
    ("sigma", "distance"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 0),
        ([2, 1, 3, 4, 5, 6, 7, 8], 2),
        ([3, 1, 2, 4, 5, 6, 7, 8], 4),
        ([2, 3, 4, 5, 6, 7, 8, 1], 5),
        ([1, 2, 3, 4, 6, 5, 7, 8], 1),
        ([1, 2, 3, 4, 6, 7, 5, 8], 1),
        ([1, 2, 3, 5, 6, 4, 7, 8], 2),
        ([5, 4, 3, 2, 1, 6, 7, 8], 12),
    ],
)
def test_worked_examples_of_the_top_5_distance(sigma, distance):
    assert top5_distance(np.arange(5), ranking(sigma)[:5]) == distance


@given(pairs)
def test_the_top_5_distance_is_that_of_full_rankings(both):
    first, second = both
    expected = 0
    for place, which in enumerate(first[:5], 1):
        low, high = sorted((place, second.index(which) + 1))
        expected += sum(1 <= j - 1 <= 5 for j in range(low + 1, high + 1))  # the paper's double sum
    assert top5_distance(first[:5], second[:5]) == expected
    assert 0 <= expected <= FARTHEST_TOP5
    assert top5_distance(first[:5], first[:5]) == 0


@pytest.mark.parametrize("classes", [8, 10, 1000])
def test_no_rankings_are_farther_apart_than_the_bounds(classes):
    places, weights = np.arange(1, classes + 1), 1 / np.arange(1, classes + 1)
    capped = np.minimum(places, 6)
    top5 = np.where(places[:, None] <= 5, abs(capped[None] - places[:, None]), 0)
    zipf = weights[:, None] * abs(weights[:, None] - weights[None])
    assert top5[linear_sum_assignment(top5, maximize=True)].sum() == FARTHEST_TOP5
    assert zipf[linear_sum_assignment(zipf, maximize=True)].sum() < FARTHEST_ZIPF


def test_hand_computed_zipf_distances():
    assert zipf_distance([0, 1], [1, 0]) == pytest.approx(1 * 0.5 + 0.5 * 0.5)
    # sigma = 2, 3, 1: 1 |1 - 1/2| + 1/2 |1/2 - 1/3| + 1/3 |1/3 - 1|
    assert zipf_distance([0, 1, 2], [2, 0, 1]) == pytest.approx(1 / 2 + 1 / 12 + 2 / 9)
    assert zipf_distance([4, 2, 0, 1, 3], [4, 2, 0, 1, 3]) == 0


@given(st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_the_zipf_distance_by_ranks_of_logits(classes, seed):
    one, two = np.random.default_rng(seed).normal(size=(2, 3, classes))
    first, second = (np.argsort(-logits, -1, kind="stable") for logits in (one, two))
    got = zipf_distance(first, second)
    recorded = views.zipf_distance(torch.from_numpy(first), torch.from_numpy(np.argsort(second, -1)))
    np.testing.assert_allclose(recorded, got)
    for row in range(3):
        ranks = (rankdata(-one[row], "ordinal"), rankdata(-two[row], "ordinal"))
        expected = sum(1 / r * abs(1 / r - 1 / s) for r, s in zip(*ranks, strict=True))
        assert got[row] == pytest.approx(expected)


def test_what_is_no_ranking_is_refused():
    with pytest.raises(ValueError, match=r"\[..., 5\]"):
        top5_distance([0, 1, 2], [0, 1, 2])
