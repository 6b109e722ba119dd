"""Two answers to one question, sample by sample; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rbench.metrics import accuracy
from rbench.types import Call, Outcomes, Score


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


@dataclass(frozen=True)
class Stage:
    """A pair of attacks, native and another package's, after some causes of disagreement were taken away.

    `n` counts the images that the model gets right, which alone are attacked; `both`, `native_only` and `theirs_only`
    are samples that fell. `distances` are the mean ones, native and theirs, of those that both fooled, for attacks of
    minimum norm. `refused` is what the referee said of a side that broke the rules, if one did: there is no count then.
    """

    attack: str
    change: str
    calls: tuple[Call, Call]
    n: int = 0
    both: tuple[int, ...] = ()
    native_only: tuple[int, ...] = ()
    theirs_only: tuple[int, ...] = ()
    distances: tuple[float, float] | None = None
    refused: str = ""


@dataclass(frozen=True)
class Crosscheck:
    """All stages of all pairs, on n images: where they were measured, by which command and with which versions."""

    where: str
    n: int
    seed: int
    command: str
    versions: Mapping[str, str]
    stages: tuple[Stage, ...]


def stage(
    attack: str,
    change: str,
    calls: tuple[Call, Call],
    clean: Outcomes,
    native: Outcomes,
    theirs: Outcomes,
    *,
    minimum: bool = False,
) -> Stage:
    """Compare two sides on the images that the model gets right; distances if they are of `minimum` norm.

    Raises `ValueError` if they do not hold the same samples.
    """
    found = compare(attack, native, theirs)
    fell = clean.correct & ~native.correct & ~theirs.correct
    means = (
        (float(native.distance[fell].mean()), float(theirs.distance[fell].mean())) if minimum and fell.any() else None
    )
    both = tuple(int(sample) for sample in native.sample[fell])
    right = int(clean.correct.sum())
    return Stage(attack, change, calls, right, both, found.native_only, found.theirs_only, means)
