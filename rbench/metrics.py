"""Outcomes to numbers; pure. A metric maps the outcomes of its probes, in the order of the suite, to a `Score`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rbench.stats import wilson
from rbench.types import Outcomes, Score


def accuracy(probes: Sequence[Outcomes]) -> Score:
    """The share in [0, 1] of samples of one probe that are classified as their label, with Wilson's 95% interval."""
    (outcomes,) = probes
    return _share(outcomes.correct)


def worst_case(probes: Sequence[Outcomes]) -> Score:
    """The share in [0, 1] of samples that stay correct in every one of the probes: the mean of per-sample minima.

    Raises `ValueError` if the probes do not hold the same samples.
    """
    first = probes[0]
    for other in probes[1:]:
        if not (np.array_equal(first.sample, other.sample) and np.array_equal(first.label, other.label)):
            raise ValueError("the probes of a worst case must hold the same samples.")
    return _share(np.logical_and.reduce([outcomes.correct for outcomes in probes]))


def _share(hits: npt.NDArray[np.bool_]) -> Score:
    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n)
    return Score(count / n, (low, high), n)
