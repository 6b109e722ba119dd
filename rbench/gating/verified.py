"""A score of a gate that is a worst case over cheap attacks and a full one; pure.

The cheap ones only bound its errors from below: a bet on what they find can prove a drop. That there is none takes the
full attack on some of the images that they leave (`rbench.statistics.survey`).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rbench.gating.cases import Case, How, fewest
from rbench.statistics.betting import ROUNDING
from rbench.statistics.survey import Survey
from rbench.types import IntArray


@dataclass
class VerifiedCase(Case):
    """`after` are the least errors that the candidate can have; `full` is the dear probe, `found` what it found."""

    full: str = ""
    found: Survey | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._asked = np.zeros(len(self.before), dtype=np.bool_)

    @property
    def parts(self) -> tuple[str, ...]:
        """All probes but the full one."""
        return tuple(name for name in self.of if name != self.full)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """What was fooled, and what the full attack was run on."""
        return (self.after == 1) | self._asked

    def take(self, found: Survey, asked: IntArray, fooled: IntArray) -> None:
        """Take what the full attack found: the survey so far, the images it was run on, and those that it fools."""
        self.found = found
        self._asked[asked] = True
        self.after[fooled] = 1.0

    @property
    def _right(self) -> float:
        """The baseline's share of images that it gets right, all of which the candidate may have lost."""
        return 1 - float(self.before.mean())

    @property
    def ceiling(self) -> float:
        """The most that the drop can be: a proof, or with a survey at its level, whenever one looks."""
        return self._right - (self.found.low if self.found is not None else 0.0)

    @property
    def below(self) -> float:
        """Infinite if the ceiling passes; what cheap attacks find is no evidence that there is no drop."""
        return np.inf if self.ceiling <= self.score.delta + ROUNDING else 1.0

    @property
    def by(self) -> How:
        """By what it is decided, if it is: adversarial images prove a drop, whichever attack found them."""
        if self.floor > self.score.delta + ROUNDING:
            return "proof" if self._drops else "one pass an image"
        return "verified" if self.found is not None else "bet"

    @property
    def drop(self) -> float | None:
        """The survey's estimate; None before."""
        return self._right - self.found.estimate if self.found is not None else None

    @property
    def interval(self) -> tuple[float, float]:
        """The ends, each at level alpha: the upper one is 1 less the baseline's error until there is a survey."""
        return max(self.floor, self._ends(self._drops)[0]), self.ceiling

    @property
    def least(self) -> float:
        """The smallest delta that would pass if no image that the full attack was run on had fallen."""
        if self.found is None:
            return self._right
        return max(0.0, self._right - replace(self.found, certain_flips=0, flips=0).low)

    @property
    def more(self) -> int | None:
        """How many more images the full attack would have to leave standing; None if that could not do."""
        found = self.found
        if found is None:
            return None

        def enough(count: int) -> bool:
            return self._right - replace(found, drawn=found.drawn + count).low <= self.score.delta + ROUNDING

        return fewest(enough, found.rest - found.drawn)
