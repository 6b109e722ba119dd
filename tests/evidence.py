"""Outcomes made by hand."""

import numpy as np

from rbench.types import Outcomes


def outcomes(correct, *, distance=None, margin=None, start=0, group=None):
    """Outcomes of samples with label 1 that are, or are not, classified correctly."""
    correct = np.asarray(correct, dtype=bool)
    n = len(correct)
    zeros = np.zeros(n, dtype=np.int64)
    return Outcomes(
        sample=np.arange(start, start + n),
        group=zeros if group is None else np.asarray(group, dtype=np.int64),
        frame=zeros,
        label=zeros + 1,
        pred=np.where(correct, 1, 2),
        margin=np.where(correct, 1.0, -1.0) if margin is None else np.asarray(margin, dtype=float),
        distance=np.zeros(n) if distance is None else np.asarray(distance, dtype=float),
        forwards=zeros,
        backwards=zeros,
    )
