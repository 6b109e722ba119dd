"""Has a mean of paired differences passed a bound? A bet on images drawn without replacement, which may stop any time.

Differences x are those of a finite set of images, in [-1, 1]. With z = (x + 1)/2, what is left of the set has under
the hypothesis mean(x) = delta a mean m that is known at every draw. Staking a share c on more turns the capital by
1 + c (z - m)/m, on less by 1 - c (z - m)/(1 - m): fair under the hypothesis, so that by Ville's inequality the capital
ever reaches 1/alpha with probability alpha at most. I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
variables by betting", JRSS B 86, 2024, on sampling without replacement. Pure.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ROUNDING = 1e-9
STAKES = np.array([0.05, 0.1, 0.2, 0.4, 0.7])  # an equal part of the capital on each
FINEST = 1e-4  # of the ends of an interval


@dataclass
class Bet:
    """Two bets about the mean D of `items` differences: that D > `delta`, and that D <= `delta`.

    `above` is the most that the first was ever worth, `below` the second, as multiples of what was staked; infinite
    where what was seen leaves no other way.
    """

    items: int
    delta: float
    drawn: int = 0
    total: float = 0.0
    above: float = 1.0
    below: float = 1.0
    _capital: list[npt.NDArray[np.float64]] = field(default_factory=lambda: [np.zeros(len(STAKES))] * 2, repr=False)

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError("a bet needs at least one item.")
        if not -1 < self.delta < 1:
            raise ValueError(f"delta = {self.delta} must lie between -1 and 1.")

    def see(self, differences: npt.ArrayLike) -> None:
        """Bet on the next differences in [-1, 1], in the order in which they were drawn."""
        z = (np.asarray(differences, dtype=np.float64).ravel() + 1) / 2
        if not (len(z) == 0 or (z.min() >= 0 and z.max() <= 1)):
            raise ValueError("differences must lie in [-1, 1].")
        if self.drawn + len(z) > self.items:
            raise ValueError(f"{self.drawn + len(z)} of {self.items} items were drawn: some came twice.")
        if not len(z):
            return
        bound = self.items * (self.delta + 1) / 2
        totals = self.total + np.cumsum(z)
        left = self.items - self.drawn - np.arange(1, len(z) + 1)
        mean = (bound - totals + z) / (left + 1)  # of what was left before each draw
        self.above = max(
            self.above, self._worth(0, z, mean), np.inf if (totals > bound + self.items * ROUNDING).any() else 0.0
        )
        self.below = max(
            self.below,
            self._worth(1, 1 - z, 1 - mean),
            np.inf if (totals + left <= bound + self.items * ROUNDING).any() else 0.0,
        )
        self.drawn, self.total = self.drawn + len(z), float(totals[-1])

    def _worth(self, side: int, z: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]) -> float:
        """The most that a bet was worth over these draws; where the mean can only be 0, there is nothing to bet on."""
        ratio = np.where(mean > ROUNDING, z / np.maximum(mean, ROUNDING), 1.0)
        worth = self._capital[side] + np.cumsum(np.log1p(STAKES * (ratio[:, None] - 1)), axis=0)
        self._capital[side] = worth[-1]
        return float(np.exp(np.minimum(np.logaddexp.reduce(worth, axis=1) - np.log(len(STAKES)), 700.0)).max())


def bounds(differences: npt.ArrayLike, items: int, alpha: float = 0.05) -> tuple[float, float]:
    """Both ends of an interval for the mean of `items` differences, of which some were drawn in a random order.

    All means that neither bet refutes at alpha/2, which are those between two (the worth of a bet moves with delta one
    way only), to 0.0001 outwards. It may be looked at after every draw.
    """

    def refuted(delta: float, side: str) -> bool:
        bet = Bet(items, delta)
        bet.see(differences)
        return bool(getattr(bet, side) >= 2 / alpha)

    ends = []
    for side, outer in (("above", -1.0), ("below", 1.0)):
        kept, lost = -outer, outer
        while abs(kept - lost) > FINEST:
            middle = (kept + lost) / 2
            kept, lost = (kept, middle) if refuted(middle, side) else (middle, lost)
        ends.append(lost)
    return ends[0], ends[1]
