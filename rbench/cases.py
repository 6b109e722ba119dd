"""One score of a gate: what is known of its drop from a baseline, image by image; pure.

Some images are known from one pass each. On the others a bet is laid (`rbench.betting`), and where the score is a worst
case over cheap attacks and a full one, the cheap ones only bound its errors from below: the bet can prove a drop, and
that there is none takes the full attack on some of the images that are left (`rbench.survey`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rbench import snapshot
from rbench.betting import ROUNDING, Bet, bounds, draws_needed
from rbench.flips import enough, most_at_any_look
from rbench.gates import GateScore
from rbench.paired import Paired
from rbench.survey import Survey
from rbench.types import FloatArray, IntArray

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]
How = Literal["", "one pass an image", "bet", "proof", "verified"]
INSIDE = 1 - 1e-9  # a bet's bound lies within (-1, 1); differences of errors are nowhere that close to these ends


@dataclass
class Case:
    """A score over the probes `of`, of which `full` is dear; errors `before` [n] are the baseline's, in [0, 1].

    `how` is "mean" or "any": an image's error is the mean of its errors by the probes, or whether any fools it.
    """

    score: GateScore
    of: tuple[str, ...]
    how: str
    before: FloatArray
    alpha: float
    full: str | None = None
    found: Survey | None = None

    def __post_init__(self) -> None:
        self.after = np.full(len(self.before), np.nan)  # the candidate's errors, or the least that they can be
        self.margin = np.full(len(self.before), np.inf)
        self._free: dict[str, FloatArray] = {}
        self._lay()

    @property
    def name(self) -> str:
        """The score's name."""
        return self.score.name

    @property
    def asks(self) -> tuple[str, ...]:
        """The probes that images have to be asked by, but for the full attack."""
        return tuple(name for name in self.of if name not in self._free and name != self.full)

    @property
    def left(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Which images were neither drawn nor known before, [n]."""
        return np.isnan(self.after)

    def know(self, errors: Mapping[str, FloatArray]) -> None:
        """Take the candidate's errors [n] by probes that were asked of all images, before any is drawn."""
        self._free.update(errors)
        parts = [self._free[name] for name in self.of if name in self._free]
        if parts and not self.asks:
            self.after = snapshot.errors_of(parts, self.how)
        elif parts and self.how == "any":
            self.after = np.where(snapshot.errors_of(parts, "any") > 0, 1.0, np.nan)
        self._lay()

    def _lay(self) -> None:
        """Lay the bet on the images that are left."""
        known = ~self.left
        self._known = float((self.after[known] - self.before[known]).sum())
        self._items = int(self.left.sum())
        self._drops: list[float] = []
        self._bet = Bet(self._items, float(np.clip(self._rest, -INSIDE, INSIDE))) if self._items else None

    @property
    def _rest(self) -> float:
        """The mean drop of the images that were left at first which makes up delta over all."""
        return (len(self.before) * self.score.delta - self._known) / max(self._items, 1)

    def see(self, samples: IntArray, errors: Mapping[str, FloatArray], margins: FloatArray) -> None:
        """Take the candidate's errors by the probes it `asks` for, and its margins, on images in their order."""
        kept = self.left[samples]
        samples = samples[kept]
        parts = [self._free[n][samples] if n in self._free else errors[n][kept] for n in self.of if n != self.full]
        self.after[samples], self.margin[samples] = snapshot.errors_of(parts, self.how), margins[kept]
        drops = self.after[samples] - self.before[samples]
        if self._bet is not None:
            self._bet.see(drops)
        self._drops += drops.tolist()

    def take(self, found: Survey, fooled: IntArray) -> None:
        """Take what the full attack found: the survey so far, and more images that it fools."""
        self.found = found
        self.after[fooled] = 1.0

    @property
    def floor(self) -> float:
        """The least that the drop can be, a proof: every image not known may be one that only the candidate gets."""
        return float((np.where(self.left, 0.0, self.after) - self.before).mean())

    @property
    def ceiling(self) -> float:
        """The most that it can be: a proof, or with a survey that of its confidence."""
        most = 1 - float(self.before.mean())
        if self.full is not None:
            return most - self.found.low if self.found is not None else most
        return float((np.where(self.left, 1.0, self.after) - self.before).mean())

    @property
    def above(self) -> float:
        """What a bet that it dropped by more than delta is worth; infinite for a proof."""
        proven = self.floor > self.score.delta + ROUNDING
        return np.inf if proven else self._bet.above if self._bet is not None else 1.0

    @property
    def passes(self) -> bool:
        """Whether it is known, at level alpha, that it dropped by no more than delta."""
        bet = self._bet is not None and self.full is None and self._bet.below >= 1 / self.alpha
        return bet or self.ceiling <= self.score.delta + ROUNDING

    @property
    def means(self) -> How:
        """By what it is decided, if it is."""
        if self.found is not None:
            return "verified"
        if not self._drops:
            return "one pass an image"
        proven = self.floor > self.score.delta + ROUNDING or self.ceiling <= self.score.delta + ROUNDING
        return "proof" if proven else "bet"

    @property
    def drop(self) -> float:
        """The unbiased estimate of the drop, in [-1, 1]; the least that it can be, while no image was drawn."""
        if self.found is not None:
            return 1 - float(self.before.mean()) - self.found.estimate
        if not self._drops:
            return self.floor
        return (self._known + self._items * float(np.mean(self._drops))) / len(self.before)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends that hold whenever one looks, each at level alpha, as a verdict does."""
        low, high = self._spread(self._drops)
        return max(self.floor, low), self.ceiling if self.full is not None else min(self.ceiling, high)

    @property
    def least(self) -> float:
        """The smallest delta that would pass if no image that was drawn had turned."""
        if self.full is None:
            return max(0.0, self._spread([0.0] * len(self._drops))[1])
        still = replace(self.found, certain_flips=0, flips=0) if self.found is not None else None
        most = 1 - float(self.before.mean())
        return max(0.0, most - still.low if still is not None else most)

    def _spread(self, drops: list[float]) -> tuple[float, float]:
        low, high = bounds(drops, self._items, 2 * self.alpha) if self._items else (0.0, 0.0)
        n = len(self.before)
        return (self._known + self._items * low) / n, (self._known + self._items * high) / n

    @property
    def needed(self) -> int:
        """How many images, attacked or verified by the full attack, would pass if none of them turned."""
        if self.full is None:
            return draws_needed(self._items, self._rest, self.alpha) if 0 < self._rest < 1 else self._items
        if self.found is None:
            return len(self.before)
        known = self.found
        tolerated = int(np.floor(len(self.before) * (self.score.delta - self.floor) + ROUNDING))
        return known.certain + enough(known.rest, max(tolerated, 0), self.alpha, most_at_any_look)

    @property
    def images(self) -> int:
        """How many images are known."""
        return int((~self.left).sum())

    @property
    def table(self) -> Paired | None:
        """How many images that are known only the baseline gets right, and only the candidate; None for shares."""
        drops = (self.after - self.before)[~self.left]
        whole = len(drops) > 0 and bool(np.isin(drops, (-1, 0, 1)).all())
        return Paired(int((drops > 0).sum()), int((drops < 0).sum()), len(drops)) if whole else None
