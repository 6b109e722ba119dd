"""Has a mean of paired differences passed a bound? A bet on images drawn without replacement, which may stop any time.

Differences x are those of a finite set of images, in [-1, 1]. With z = (x + 1)/2, what is left of the set has under
the hypothesis mean(x) = delta a mean that is known at every draw; a bet against it that is fair keeps its capital on
average, so that by Ville's inequality it multiplies it by 1/alpha with probability alpha at most. I. Waudby-Smith and
A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024, on sampling without replacement.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDING = 1e-9
STAKES = (0.05, 0.1, 0.2, 0.4, 0.7)  # shares of what may be lost, an equal part of the capital on each


@dataclass
class Bet:
    """Two bets about the mean D of `items` differences: that D > `delta`, and that D < `delta`.

    `above` is the evidence for the first, `below` that for the second, as multiples of what was staked.
    """

    items: int
    delta: float
    drawn: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError("a bet needs at least one item.")
        if not -1 < self.delta < 1:
            raise ValueError(f"delta = {self.delta} must lie between -1 and 1.")
        self._above = np.zeros(len(STAKES))
        self._below = np.zeros(len(STAKES))

    def see(self, differences: npt.ArrayLike) -> None:
        """Bet on the next differences in [-1, 1], in the order in which they were drawn."""
        values = np.asarray(differences, dtype=np.float64).ravel()
        if not (len(values) == 0 or np.abs(values).max() <= 1):
            raise ValueError("differences must lie in [-1, 1].")
        if self.drawn + len(values) > self.items:
            raise ValueError(f"{self.drawn + len(values)} of {self.items} items were drawn: some came twice.")
        for value in (values + 1) / 2:
            self._one(float(value))

    def _one(self, z: float) -> None:
        """One fair bet, unless what is left can no longer have such a mean; then one side is certain."""
        stakes, bound = np.array(STAKES), self.items * (self.delta + 1) / 2
        expected = (bound - self.total) / (self.items - self.drawn)
        if ROUNDING < expected < 1 - ROUNDING:
            self._above += np.log1p(stakes / expected * (z - expected))
            self._below += np.log1p(-stakes / (1 - expected) * (z - expected))
        self.total += z
        self.drawn += 1
        if self.total > bound + ROUNDING:
            self._above += np.inf
        if self.total + (self.items - self.drawn) < bound - ROUNDING:
            self._below += np.inf

    @property
    def above(self) -> float:
        """The evidence that the mean is larger than delta."""
        return float(np.exp(np.minimum(self._above, 700)).mean())

    @property
    def below(self) -> float:
        """The evidence that the mean is smaller than delta."""
        return float(np.exp(np.minimum(self._below, 700)).mean())

    @property
    def mean(self) -> float:
        """The mean of the differences seen, 0 if none is."""
        return 2 * self.total / self.drawn - 1 if self.drawn else 0.0
