"""Evidence to values an image: what the metrics of corruptions and of sequences average; pure.

Rows may come in any order, but must be whole: an image that lacks a severity or a frame is refused, never left out of
an average. `value` is exact (counts are divided once), so that equal counts give equal floats.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rbench.metrics.rankings import FARTHEST_TOP5, FARTHEST_ZIPF, TOP, top5_distance
from rbench.statistics.intervals import clustered
from rbench.types import FloatArray, IntArray, Outcomes, Score


@dataclass(frozen=True)
class Images:
    """One quantity of one probe: `values` [n] in [bottom, top], in the order of `samples`, and their mean.

    `groups` are the severities that it is averaged over; or the difficulty of a sequence.
    """

    samples: IntArray
    values: FloatArray
    value: float
    top: float
    groups: tuple[int, ...]
    bottom: float = 0.0

    def over(self, divisor: float) -> "Images":
        """The same in units of `divisor`, which must be greater than 0."""
        return replace(
            self,
            values=self.values / divisor,
            value=self.value / divisor,
            top=self.top / divisor,
            bottom=self.bottom / divisor,
        )


@dataclass(frozen=True)
class Pairing:
    """Which frames are compared: the first with every other (noise), else those `stride` apart, of every phase.

    `difficulty` is the group of the rows, None the lowest that is there; of perturbations over time it is the stride.
    """

    against_first: Collection[str] = ()
    stride: int = 1
    difficulty: int | None = None


@dataclass(frozen=True)
class _Pairs:
    """The rows [n, frames] of sequences, and the frames that are compared, `one` with `two`."""

    samples: IntArray
    rows: IntArray
    one: IntArray
    two: IntArray
    difficulty: int


def mean_score(names: Sequence[str], parts: Sequence[Images]) -> Score:
    """The mean over probes, each weighing the same, with `clustered`'s interval; n counts images.

    Raises `ValueError` that names the first probe which lacks images that others have, or if there is no probe.
    """
    if not parts:
        raise ValueError("there is no probe to average over")
    every = np.unique(np.concatenate([part.samples for part in parts]))
    for name, part in zip(names, parts, strict=True):
        if len(part.samples) < len(every):
            raise ValueError(f"probe {name!r} lacks {len(every) - len(part.samples)} of the images that others have")
    value = math.fsum(part.value for part in parts) / len(parts)
    values = sum(part.values for part in parts) / len(parts)
    bottom, top = (math.fsum(getattr(part, end) for part in parts) / len(parts) for end in ("bottom", "top"))
    low, high = clustered(values, top, bottom)
    return Score(value, (min(low, value), max(high, value)), len(parts[0].samples))


def errors(name: str, outcomes: Outcomes) -> Images:
    """The share of severities in which each image is misclassified, in [0, 1]; of a clean probe 0 or 1."""
    samples, groups, order = _grid(name, outcomes, outcomes.group, "severity")
    wrong = ~outcomes.correct[order]
    # By severity first, as papers print them, so that published lists and counts round alike.
    value = mean([int(count) / len(samples) for count in wrong.sum(axis=0)])
    return Images(samples, wrong.mean(axis=1), value, 1.0, tuple(groups.tolist()))


def flips(name: str, outcomes: Outcomes, pairing: Pairing) -> Images:
    """The share of pairs of frames in each sequence with two predictions, in [0, 1]."""
    pairs = _pairs(name, outcomes, pairing)
    pred = outcomes.pred[pairs.rows]
    return _of_pairs(pairs, pred[:, pairs.one] != pred[:, pairs.two], 1.0)


def top5s(name: str, outcomes: Outcomes, pairing: Pairing) -> Images:
    """The mean top-5 distance over the pairs of frames in each sequence, in [0, 18]."""
    if outcomes.top.shape != (len(outcomes), TOP):
        raise ValueError(f"probe {name!r} holds no five largest classes")
    pairs = _pairs(name, outcomes, pairing)
    top = outcomes.top[pairs.rows]
    return _of_pairs(pairs, top5_distance(top[:, pairs.one], top[:, pairs.two]), FARTHEST_TOP5)


def zipfs(name: str, outcomes: Outcomes, pairing: Pairing) -> Images:
    """The mean of Zipf's distance over the frames after the first of each sequence, in [0, 2.33)."""
    if len(outcomes.zipf) != len(outcomes):
        raise ValueError(f"probe {name!r} holds no distances of full rankings")
    if pairing.stride != 1 and name not in pairing.against_first:
        raise ValueError(f"probe {name!r} holds distances of full rankings from the frame before only, so of stride 1")
    pairs = _pairs(name, outcomes, pairing)
    return _of_pairs(pairs, outcomes.zipf[pairs.rows][:, 1:], FARTHEST_ZIPF)


def mean(values: Sequence[float]) -> float:
    """The mean, whatever the order of the values."""
    return math.fsum(values) / len(values)


def _of_pairs(pairs: _Pairs, values: npt.NDArray[np.generic], top: float) -> Images:
    total = math.fsum(values.ravel().tolist()) if values.dtype.kind == "f" else int(values.sum())
    return Images(pairs.samples, values.mean(axis=1), total / values.size, top, (pairs.difficulty,))


def _pairs(name: str, outcomes: Outcomes, pairing: Pairing) -> _Pairs:
    """The pairs of one probe; raises `ValueError` if frames are missing, or there are none to compare."""
    first = name in pairing.against_first
    step = 1 if first else pairing.stride
    if step < 1:
        raise ValueError(f"stride = {step} must be at least 1")
    group = _difficulty(name, outcomes, pairing)
    samples, frames, rows = _grid(name, outcomes, outcomes.frame, "frame", np.flatnonzero(outcomes.group == group))
    if not np.array_equal(frames, np.arange(len(frames))):
        raise ValueError(f"probe {name!r} does not hold every frame, but {first_few(frames)}")
    if len(frames) <= step:
        raise ValueError(f"probe {name!r} has sequences of {len(frames)} frames, so no pair {step} apart")
    two = np.arange(step, len(frames))
    return _Pairs(samples, rows, two * 0 if first else two - step, two, max(group, step))


def _difficulty(name: str, outcomes: Outcomes, pairing: Pairing) -> int:
    """The group of a probe's rows that is meant; perturbations over time have no group of their own for a stride."""
    wanted, present = pairing.difficulty, np.unique(outcomes.group)
    if len(present) == 0:
        raise ValueError(f"probe {name!r} holds no image")
    strides = name not in pairing.against_first and len(present) == 1 and wanted == pairing.stride
    if wanted is None or (strides and wanted not in present):
        return int(present[0])
    if wanted not in present:
        raise ValueError(f"probe {name!r} holds no difficulty {wanted}, but {first_few(present)}")
    return wanted


def _grid(
    name: str, outcomes: Outcomes, key: IntArray, what: str, rows: IntArray | None = None
) -> tuple[IntArray, IntArray, IntArray]:
    """Samples [n], keys [k] and the row [n, k] of each pair, of some rows; every pair must be there exactly once."""
    rows = np.arange(len(outcomes)) if rows is None else rows
    samples, keys = np.unique(outcomes.sample[rows]), np.unique(key[rows])
    if len(rows) == 0:
        raise ValueError(f"probe {name!r} holds no image")
    order = rows[np.lexsort((key[rows], outcomes.sample[rows]))]
    if len(rows) == len(samples) * len(keys):
        order = order.reshape(len(samples), len(keys))
        # As many runs of all keys as samples, none of which can go on in the next run: each has one of its own.
        if (key[order] == keys).all():
            return samples, keys, order
    raise ValueError(f"probe {name!r} does not hold every image exactly once in every {what} ({first_few(keys)})")


def only_one(names: Sequence[str], what: str) -> None:
    """Raise `ValueError` unless there is exactly one name of `what` a metric is of."""
    if len(names) != 1:
        raise ValueError(f"this is of one {what}, not of {len(names)}; its mean is another metric")


def first_few(values: Sequence[int] | IntArray) -> str:
    """The first eight values, as part of a sentence."""
    shown = ", ".join(map(str, values[:8]))
    return f"{shown}, ..." if len(values) > 8 else shown
