"""Mutual information of samples by the hash-based dependence graph estimator (EDGE); pure, and linear in the samples.

Noshad, Zeng and Hero, "Scalable mutual information estimation using dependence graphs", ICASSP 2019, arXiv 1801.09125.
Samples are hashed to cells, x to cells i and y to cells j; with N_i, M_j and N_ij of the N samples in them

    I = sum_ij N_ij/N log2(N N_ij / (N_i M_j))   bits.

Cells that are too wide hide dependence, cells that are too small pretend it: of N samples in N cells I is log2 N
whatever they are. The first is cancelled by an ensemble of widths, the second is measured beside every estimate.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.errors import UsageError
from rbench.types import FloatArray, IntArray

PLAIN = 6  # dimensions up to which samples are hashed as they are; others by random projections
WIDEST = 10.0  # bits that a single edge of the graph may count, U of the paper
SPANS = np.linspace(1.0, 3.0, 10)  # the ensemble's widths, in multiples of the least
WIDTH = 2.0  # the least width, in standard deviations times sqrt(r) N^(-1/(2(1 + r)))
FLOOR, POINTS, SMOOTH, SCALE, SEED = 1e-3, 500, 0.4, 18.0, 3334  # of the authors of "Semirobust subnetworks"
DOUBTFUL, SMALL, NEAR = 0.1, 0.05, 0.9
SHUFFLES = 8  # of which the first is `null`, and all give `spread`


@dataclass(frozen=True)
class Information:
    """An estimate in bits of the mutual information of `samples` pairs, with its doubt.

    `null` is what the estimator makes of the same samples when y is shuffled, so that there is nothing to find: the
    bias of too few samples. `spread` is the standard deviation of that over shuffles: of few samples an estimate
    without bias is as far from the truth. No estimate exceeds `ceiling`, log2 of the samples.
    """

    bits: float
    null: float
    ceiling: float
    samples: int
    spread: float = 0.0

    @property
    def warning(self) -> str:
        """Why the number must not be taken at its face value, as a sentence; empty if it may be."""
        harmless, bias = max(SMALL, DOUBTFUL * self.bits), abs(self.null)
        loose = bias <= harmless < bias + 2 * self.spread
        if bias <= harmless and not loose and self.bits <= NEAR * self.ceiling:
            return ""
        around = f", {2 * self.spread:.2f} more or less" if loose else ""
        return (
            f"{self.samples} samples are too few: where nothing is to be found they give {self.null:.2f} bits"
            f"{around}, here {self.bits:.2f}, and never more than {self.ceiling:.2f}; take more samples, or fewer "
            "dimensions."
        )

    def __str__(self) -> str:
        """The estimate, with its warning if there is one."""
        return f"{self.bits:.2f} bits" + (f" ({self.warning})" if self.warning else "")


def edge(x: npt.ArrayLike, y: npt.ArrayLike, *, published: bool = False, seed: int = 0) -> Information:
    """The mutual information of paired samples x [N, d_x] and y [N, d_y] (or [N]).

    In at most 6 dimensions they are hashed as they are, where a coordinate of at most sqrt(N) values is taken as
    discrete; else in floor(log2(N/10)) random directions, whose information is a lower bound. Least-norm weights over
    the ensemble cancel the bias of order width^2 (what is left hides strong dependence in several dimensions), and
    (cells_xy - cells_x - cells_y + 1)/(2N ln 2) is taken off (G. A. Miller, "Note on the bias of information
    estimates", 1955). With `published` the estimate is that of Andle, Craig, Nowak and Yasaei Sekeh (arXiv 2307.03803;
    github.com/Sekeh-Lab/SemirobustSubnetworks): one width, from distances to
    neighbours, and edges of less than 0.001 bits count 0.001, so that it never vanishes. Raises `UsageError` unless
    there are as many x as y, two or more, and all finite.
    """
    a, b = _table(x), _table(y)
    if len(a) != len(b) or len(a) < 2:
        raise UsageError(f"mutual information needs pairs, two or more; there are {len(a)} x and {len(b)} y.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise UsageError("mutual information needs finite samples; some are NaN or infinite.")
    rng = np.random.default_rng(seed)
    left, right, weights = _published(a, b, rng) if published else _ensemble(a, b, rng)
    estimate, *nulls = (
        float(weights @ [_bits(i, j[order], published=published) for i, j in zip(left, right, strict=True)])
        for order in (np.arange(len(a)), *(rng.permutation(len(a)) for _ in range(SHUFFLES)))
    )
    return Information(estimate, nulls[0], math.log2(len(a)), len(a), float(np.std(nulls, ddof=1)))


def class_conditional(
    x: npt.ArrayLike, y: npt.ArrayLike, labels: npt.ArrayLike, *, published: bool = False, seed: int = 0
) -> Information:
    """The mean over classes of I(x; y | class), each weighted by its share of the samples, by `edge`.

    `samples` are those of the smallest class, on which the doubt hangs. Raises `UsageError` as `edge` does.
    """
    a, b, classes = np.asarray(x), np.asarray(y), np.asarray(labels)
    if not len(a) == len(b) == len(classes):
        raise UsageError(f"mutual information needs as many labels as pairs; there are {len(classes)} of {len(a)}.")
    kinds, counts = np.unique(classes, return_counts=True)
    if len(counts) == 0 or counts.min() < 2:
        raise UsageError("information given the class needs two samples or more of every class; take more images.")
    parts = [edge(a[classes == kind], b[classes == kind], published=published, seed=seed) for kind in kinds]
    shares = counts / counts.sum()
    bits, null, ceiling = (shares @ np.array([(part.bits, part.null, part.ceiling) for part in parts])).tolist()
    spread = float(np.linalg.norm(shares * [part.spread for part in parts]))  # classes are independent
    return Information(bits, null, ceiling, int(counts.min()), spread)


def _table(values: npt.ArrayLike) -> FloatArray:
    """Samples [N, d]; what else an image's features have for axes is flattened."""
    found = np.asarray(values, dtype=np.float64)
    return found.reshape(len(found), -1) if found.ndim else found.reshape(0, 1)


Hashed = tuple[Sequence[IntArray], Sequence[IntArray], FloatArray]
"""The cells of x and those of y for each member of the ensemble, and the weights of the members."""


def _ensemble(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> Hashed:
    left, right = (_hashed(_points(each, other, rng), rng) for each, other in ((x, y), (y, x)))
    powers = np.vstack([np.ones_like(SPANS), SPANS**2])
    return left, right, np.linalg.lstsq(powers, np.array([1.0, 0.0]), rcond=None)[0]


def _points(own: FloatArray, other: FloatArray, rng: np.random.Generator) -> FloatArray:
    """What is hashed: the samples, or their standardised random projections."""
    count, dimensions = own.shape
    if max(dimensions, other.shape[1]) <= PLAIN:
        return own
    return own @ rng.normal(0.0, _spread(own), (dimensions, _directions(count, dimensions)))


def _directions(count: int, dimensions: int) -> int:
    return min(dimensions, max(1, math.floor(math.log2(count / 10))))


def _spread(points: FloatArray) -> FloatArray:
    """The standard deviations [d, 1] by which features are projected: 1/(s_i sqrt(d)); of constant ones s_i is 1."""
    deviation = points.std(0)
    return np.asarray(1 / (np.where(deviation < 1e-4, 1.0, deviation) * math.sqrt(points.shape[1])))[:, None]


def _hashed(points: FloatArray, rng: np.random.Generator) -> list[IntArray]:
    """The cells of each member of the ensemble; discrete coordinates are cells already."""
    count, dimensions = points.shape
    columns = [_codes(column) for column in points.T]
    discrete = [column.max() < math.sqrt(count) for column in columns]
    widths = WIDTH * math.sqrt(dimensions) * points.std(0) * count ** (-1 / (2 * (1 + dimensions)))
    cells = []
    for span, shift in zip(SPANS, rng.random((len(SPANS), dimensions)), strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):  # a constant coordinate is discrete and has no width
            placed = np.floor(points / (span * widths) + shift).T
        cells.append(_joined(columns[at] if discrete[at] else placed[at] for at in range(dimensions)))
    return cells


def _published(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> Hashed:
    """The hash of the authors' program, by its generator and seed, but for the shift, which there is never the same."""
    fixed = np.random.RandomState(SEED)
    sides = []
    for own, other in ((x, y), (y, x)):
        count, dimensions = own.shape
        points = own
        if max(dimensions, other.shape[1]) > PLAIN:
            points = own @ fixed.normal(0.0, np.tile(_spread(own), _directions(count, dimensions)))
        directions = points.shape[1]
        scale = SMOOTH * SCALE * directions / (1 + math.log(dimensions))
        widths = scale * np.array([_neighbours(column, directions) for column in points.T])
        shift = 0.1 * rng.random(directions)
        sides.append(_joined(np.floor(points / widths + shift).T))
    return [sides[0]], [sides[1]], np.ones(1)


def _neighbours(values: FloatArray, directions: int) -> float:
    """The mean distance of 500 of the values to their k-th neighbour, k rather less than N^(2/3) to N^(5/6)."""
    count = len(values)
    share = 2 / 3 + 0.17 * directions / (directions + 1)
    k = max(1, math.floor(0.43 * count**share * math.exp(-1 / max(10_000, directions**4))))
    chosen = np.random.RandomState(SEED).choice(values, size=POINTS)
    distances = [np.partition(np.abs(values - point), k - 1)[k - 1] for point in chosen]
    return float(np.mean(distances)) + 1e-4


def _joined(columns: Iterable[npt.NDArray[Any]]) -> IntArray:
    """One number from 0 for each different row, of which the columns are given one by one."""
    cells: IntArray | None = None
    for column in columns:
        own = _codes(column)
        cells = own if cells is None else _codes(cells * (int(own.max()) + 1) + own)
    assert cells is not None  # noqa: S101 - there is no sample without a coordinate
    return cells


def _codes(values: npt.NDArray[Any]) -> IntArray:
    """Numbers from 0 for the different values, in the order in which they come; by a hash table, so linear."""
    from pandas import factorize

    return np.asarray(factorize(values)[0], dtype=np.int64)


def _bits(i: IntArray, j: IntArray, *, published: bool) -> float:
    """The sum over the edges of the graph, of cells i [N] and j [N]."""
    count = len(i)
    edges = _codes(i * (int(j.max()) + 1) + j)
    n_i, m_j, n_ij = np.bincount(i), np.bincount(j), np.bincount(edges)
    places = np.empty(len(n_ij), dtype=np.int64)
    places[edges] = np.arange(count)  # some sample of each edge
    information = np.log2(n_ij * count / (n_i[i[places]] * m_j[j[places]]))
    if published:
        return float(n_ij @ np.maximum(np.minimum(information, WIDEST), FLOOR)) / count
    few = (len(n_ij) - len(n_i) - len(m_j) + 1) / (2 * count * math.log(2))
    return float(n_ij @ np.minimum(information, WIDEST)) / count - few
