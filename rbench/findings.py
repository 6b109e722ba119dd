"""What a search's candidates say of architectures: the three findings of RobNet, with their doubt; pure.

Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbench.statistics.intervals import Interval
from rbench.types import FloatArray

DRAWS = 2_000  # of the bootstrap
FOLDS, REPEATS, SHUFFLES, FITS = 5, 10, 100, 200  # of the linear classifier
FEWEST = 8  # candidates of which a correlation is drawn
Statistic = Callable[[npt.NDArray[np.int64]], FloatArray]
"""A number [draws] of the candidates with these places [draws, n]."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% bootstrap interval over candidates, NaN where there are too few; `n` of them."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True)
class Linear:
    """A linear classifier of the bits of top and bottom candidates, `n` in all.

    `accuracy` is that of cross-validation, `chance` what the same gets of shuffled labels at its 95th percentile.
    `weights` [28] are those of the identity and the convolution of each edge in turn, `low` and `high` their bootstrap
    intervals.
    """

    accuracy: float
    chance: float
    weights: FloatArray
    low: FloatArray
    high: FloatArray
    n: int

    @property
    def positive(self) -> float:
        """The share of weights above 0: of operations that speak for robustness."""
        return float((self.weights > 0).mean())


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> Estimate:
    """Spearman's rank correlation, in [-1, 1], of two equally long rows of numbers."""
    pair = np.stack([np.asarray(one, dtype=float), np.asarray(other, dtype=float)])
    count = pair.shape[1]
    if count < FEWEST or (np.ptp(pair, axis=1) == 0).any():
        return Estimate(np.nan, Interval(np.nan, np.nan), count)
    return _bootstrap(lambda chosen: _spearman(pair[0][chosen], pair[1][chosen]), count)


def _spearman(one: FloatArray, other: FloatArray) -> FloatArray:
    """The correlation of the ranks in each row of numbers [draws, n]; NaN where all of a row are alike."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (one, other)]
    x, y = (values - values.mean(1, keepdims=True) for values in ranks)
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.divide((x * y).sum(1), spread, out=np.full(len(x), np.nan), where=spread > 0)


def gain(values: npt.ArrayLike, kept: npt.ArrayLike) -> Estimate:
    """The mean of the values that are kept less the mean of all: what a filter wins on average."""
    array, chosen_by = np.asarray(values, dtype=float), np.asarray(kept, dtype=bool)

    def difference(chosen: npt.NDArray[np.int64]) -> FloatArray:
        own, among = array[chosen], chosen_by[chosen]
        counts = among.sum(1)
        inside = np.divide((own * among).sum(1), counts, out=np.full(len(own), np.nan), where=counts > 0)
        return inside - own.mean(1)

    return _bootstrap(difference, len(array))


def _bootstrap(statistic: Statistic, count: int) -> Estimate:
    drawn = statistic(np.random.default_rng(0).integers(0, count, (DRAWS, count)))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Estimate(float(statistic(np.arange(count)[None])[0]), Interval(float(low), float(high)), count)


def least(distances: FloatArray, keep: float) -> npt.NDArray[np.bool_]:
    """Which rows belong to the share `keep` of least sum over columns; ties go to the earlier ones, one at least."""
    order = np.argsort(distances.sum(1), kind="stable")
    chosen = np.zeros(len(distances), dtype=bool)
    chosen[order[: max(1, round(keep * len(distances)))]] = True
    return chosen


def enough(candidates: int, share: float) -> bool:
    """Whether so many candidates are enough for a linear classifier of this share of them."""
    return int(share * candidates) >= FOLDS


def linear(bits: FloatArray, robust: npt.ArrayLike, share: float) -> Linear | None:
    """Finding 1: a linear classifier of the `share` of candidates that are most and of those that are least robust.

    `bits` [n, 28] are each candidate's operations, averaged over its cells. None if either class is smaller than the
    number of folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score

    order = np.argsort(np.asarray(robust, dtype=float), kind="stable")
    if not enough(len(order), share):
        return None
    count = int(share * len(order))
    rows = np.concatenate([order[-count:], order[:count]])
    x, y = bits[rows], np.repeat([1, 0], count)
    model, random = LogisticRegression(solver="liblinear"), np.random.default_rng(0)
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    accuracy = float(cross_val_score(model, x, y, cv=folds).mean())
    single = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=1, random_state=0)
    shuffled = [float(cross_val_score(model, x, random.permutation(y), cv=single).mean()) for _ in range(SHUFFLES)]
    drawn = []
    for _ in range(FITS):
        chosen = np.concatenate([random.integers(0, count, count), count + random.integers(0, count, count)])
        drawn.append(model.fit(x[chosen], y[chosen]).coef_[0].copy())
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return Linear(accuracy, float(np.quantile(shuffled, 0.95)), model.fit(x, y).coef_[0].copy(), low, high, 2 * count)


def thirds(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The third, 0 to 2, in which each value lies; equal values lie together."""
    array = np.asarray(values, dtype=float)
    return np.searchsorted(np.quantile(array, (1 / 3, 2 / 3)), array, side="left")
