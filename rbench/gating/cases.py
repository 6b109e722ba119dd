"""One score of a gate: what is known of its drop from a baseline, image by image; pure.

Some images are known from one pass each; on the others a bet is laid (`rbench.statistics.betting`).
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from rbench.gates import GateScore
from rbench.gating import snapshot
from rbench.statistics.betting import ROUNDING, Bet, bounds
from rbench.statistics.paired import Paired
from rbench.types import FloatArray, IntArray

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]
How = Literal["", "one pass an image", "bet", "proof", "verified"]
INSIDE = 1 - 1e-9  # a bet's bound lies within (-1, 1); to move one at an end by less than `ROUNDING` decides nothing


@dataclass
class Case:
    """A score over the probes `of`; errors `before` [n] are the baseline's, in [0, 1].

    `how` is "mean" or "any": an image's error is the mean of its errors by the probes, or whether any fools it. `after`
    are the candidate's errors, NaN where they are not known.
    """

    score: GateScore
    of: tuple[str, ...]
    how: str
    before: FloatArray
    alpha: float
    after: FloatArray = field(init=False, repr=False)
    margin: FloatArray = field(init=False, repr=False)
    _free: dict[str, FloatArray] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.after = np.full(len(self.before), np.nan)
        self.margin = np.full(len(self.before), np.inf)
        self._lay()

    @property
    def name(self) -> str:
        """The score's name."""
        return self.score.name

    @property
    def parts(self) -> tuple[str, ...]:
        """The probes that images are asked by, sooner or later."""
        return self.of

    @property
    def asks(self) -> tuple[str, ...]:
        """Those of them that images which are left have to be asked by."""
        return tuple(name for name in self.parts if name not in self._free)

    @property
    def left(self) -> npt.NDArray[np.bool_]:
        """Which images were neither drawn nor known before, [n]."""
        return np.isnan(self.after)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Of which images the outcome is known, [n]."""
        return ~self.left

    def know(self, errors: Mapping[str, FloatArray]) -> None:
        """Take the candidate's errors [n] by probes that were asked of all images, before any is drawn."""
        self._free.update(errors)
        parts = [self._free[name] for name in self.parts if name in self._free]
        if parts and not self.asks:
            self.after = snapshot.errors_of(parts, self.how)
        elif parts and self.how == "any":
            self.after = np.where(snapshot.errors_of(parts, "any") > 0, 1.0, np.nan)
        self._lay()

    def _lay(self) -> None:
        """Lay the bet on the images that are left."""
        known = ~self.left
        self._sum = float((self.after[known] - self.before[known]).sum())
        self._items = int(self.left.sum())
        self._drops: list[float] = []
        rest = (len(self.before) * self.score.delta - self._sum) / max(self._items, 1)  # their mean drop at delta
        undecided = (
            self._items > 0 and abs(rest) <= 1 + ROUNDING
        )  # else what is known decides, and there is no bet to lay
        self._bet = Bet(self._items, float(np.clip(rest, -INSIDE, INSIDE))) if undecided else None

    def see(self, samples: IntArray, errors: Mapping[str, FloatArray], margins: Mapping[str, FloatArray]) -> None:
        """Take the candidate's errors and margins by the probes it `asks` for, on images in their order."""
        wanted = self.left[samples]
        if not wanted.any():
            return  # drawn for another score
        samples = samples[wanted]
        parts = [self._free[n][samples] if n in self._free else errors[n][wanted] for n in self.parts]
        self.after[samples] = snapshot.errors_of(parts, self.how)
        self.margin[samples] = np.min([margins[name][wanted] for name in self.asks], axis=0)
        drops = self.after[samples] - self.before[samples]
        if self._bet is not None:
            self._bet.see(drops)
        self._drops += drops.tolist()

    @property
    def floor(self) -> float:
        """The least that the drop can be, a proof: every image not known may be one that only the candidate gets."""
        return float((np.where(self.left, 0.0, self.after) - self.before).mean())

    @property
    def ceiling(self) -> float:
        """The most that it can be, a proof."""
        return float((np.where(self.left, 1.0, self.after) - self.before).mean())

    @property
    def above(self) -> float:
        """What a bet that it dropped by more than delta is worth; infinite for a proof."""
        proven = self.floor > self.score.delta + ROUNDING
        return np.inf if proven else self._bet.above if self._bet is not None else 1.0

    @property
    def below(self) -> float:
        """What a bet that it did not is worth; infinite for a proof."""
        proven = self.ceiling <= self.score.delta + ROUNDING
        return np.inf if proven else self._bet.below if self._bet is not None else 1.0

    @property
    def passes(self) -> bool:
        """Whether it is known, at level alpha, that it dropped by no more than delta."""
        return self.below >= 1 / self.alpha

    @property
    def by(self) -> How:
        """By what it is decided, if it is."""
        if not self._drops:
            return "one pass an image"
        return "proof" if np.isinf(max(self.above, self.below)) else "bet"

    @property
    def drop(self) -> float | None:
        """The unbiased estimate of the drop, in [-1, 1]; None while no image was drawn, unless all are known."""
        if self._items and not self._drops:
            return None
        return (self._sum + self._items * float(np.mean(self._drops or [0.0]))) / len(self.before)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends that hold whenever one looks, each at level alpha, as a verdict does."""
        low, high = self._ends(self._drops)
        return max(self.floor, low), min(self.ceiling, high)

    @property
    def least(self) -> float:
        """The smallest delta that would pass if no image that was drawn had turned."""
        return max(0.0, self._ends([0.0] * len(self._drops))[1])

    def _ends(self, drops: list[float]) -> tuple[float, float]:
        low, high = bounds(drops, self._items, 2 * self.alpha) if self._items else (0.0, 0.0)
        n = len(self.before)
        return (self._sum + self._items * low) / n, (self._sum + self._items * high) / n

    @property
    def more(self) -> int | None:
        """How many more images would pass if none of them turned; None if not even all of them would."""

        def enough(count: int) -> bool:
            bet = deepcopy(self._bet)
            if bet is not None:
                bet.see(np.zeros(count))
            return bet is not None and bet.below >= 1 / self.alpha

        return fewest(enough, int(self.left.sum()))

    @property
    def table(self) -> Paired | None:
        """How many images that are known only the baseline gets right, and only the candidate; None for shares."""
        drops = (self.after - self.before)[self.known]
        whole = len(drops) > 0 and bool(np.isin(drops, (-1, 0, 1)).all())
        return Paired(int((drops > 0).sum()), int((drops < 0).sum()), len(drops)) if whole else None


def fewest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest count in 0..most that is enough, if what is enough stays so; None if there is none."""
    if not enough(most):
        return None
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
