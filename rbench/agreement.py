"""Two answers to one question, sample by sample; pure."""

from dataclasses import dataclass

import numpy as np

from rbench.metrics import accuracy
from rbench.types import Outcomes, Score


@dataclass(frozen=True)
class Agreement:
    """A probe asked by the native attack and by another package's.

    `native_only` and `theirs_only` are the samples that only one of the two fooled.
    """

    probe: str
    native: Score
    theirs: Score
    native_only: tuple[int, ...]
    theirs_only: tuple[int, ...]

    @property
    def share(self) -> float:
        """The share in [0, 1] of samples on which both agree whether the attack succeeds."""
        return 1 - (len(self.native_only) + len(self.theirs_only)) / self.native.n


def compare(probe: str, native: Outcomes, theirs: Outcomes) -> Agreement:
    """How far two outcomes of one probe agree; raises `ValueError` if they do not hold the same samples."""
    if not (np.array_equal(native.sample, theirs.sample) and np.array_equal(native.label, theirs.label)):
        raise ValueError("a comparison needs the same samples on both sides.")
    only = [
        tuple(int(sample) for sample in native.sample[mine.correct < other.correct])
        for mine, other in ((native, theirs), (theirs, native))
    ]
    return Agreement(probe, accuracy([native]), accuracy([theirs]), *only)
