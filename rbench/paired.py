"""Two classifiers on the same images: is one more often right, and by how much? Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from rbench.stats import CONFIDENCE, Interval

_HALVINGS = 60


@dataclass(frozen=True)
class Paired:
    """How many of n images only the first got right, `first`, and how many only the second, `second`."""

    first: int
    second: int
    n: int

    def __post_init__(self) -> None:
        if not (self.first >= 0 <= self.second and 0 < self.n >= self.first + self.second):
            raise ValueError(f"{self.first} and {self.second} discordant images of {self.n} make no sense.")

    @property
    def difference(self) -> float:
        """The share of the first less that of the second, in [-1, 1]."""
        return (self.first - self.second) / self.n

    @property
    def p_value(self) -> float:
        """The exact two-sided p-value of McNemar's test that neither is right more often, by the binomial's tails.

        Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12,
        1947. Without any discordant image it is 1.
        """
        discordant, least = self.first + self.second, min(self.first, self.second)
        tail = sum(math.comb(discordant, k) for k in range(least + 1))
        return min(1.0, 2 * tail / 2**discordant)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Tango's score interval of the difference: all d whose score statistic is within the normal quantile.

        T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
        design", Statistics in Medicine 17, 1998.
        """
        limit = NormalDist().inv_cdf(0.5 + confidence / 2)
        return Interval(self._end(-1.0, limit), self._end(1.0, limit))

    def _end(self, outer: float, limit: float) -> float:
        """The end on one side: by halving between the estimate, where the statistic is 0, and an impossible value."""
        inside, outside = self.difference, outer
        if abs(self.score(outside)) <= limit:
            return outside
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if abs(self.score(middle)) <= limit else (inside, middle)
        return inside

    def score(self, d: float) -> float:
        """Tango's statistic at a difference d in [-1, 1]; 0 where nothing speaks against it."""
        excess = self.first - self.second - self.n * d
        linear = -self.first - self.second + (2 * self.n - self.first + self.second) * d
        second = (math.sqrt(max(linear**2 + 8 * self.n * self.second * d * (1 - d), 0.0)) - linear) / (4 * self.n)
        variance = self.n * (2 * second + d * (1 - d))
        if variance <= 0:
            return 0.0 if excess == 0 else math.copysign(math.inf, excess)
        return excess / math.sqrt(variance)

    def least_drop(self, power: float = 0.8, alpha: float = 0.05) -> float:
        """The smallest drop that a one-sided test of so many discordant images would find with that power.

        The normal approximation (z_alpha + z_power) sqrt(discordance / n); a gate on n images cannot see less.
        """
        normal = NormalDist()
        share = max(self.first + self.second, 1) / self.n
        return (normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * math.sqrt(share / self.n)
