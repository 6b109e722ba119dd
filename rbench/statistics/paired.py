"""Two classifiers on the same images: is one more often right, and by how much? Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from rbench.statistics.intervals import CONFIDENCE, Interval

_HALVINGS = 60
MANY = 1000  # discordant images, above which whole numbers take too long
FEWEST = 6.72  # the mean of a Poisson variable that is 5 or more with probability 0.8


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
        if discordant > MANY:
            from scipy.special import bdtr

            return min(1.0, 2 * float(bdtr(least, discordant, 0.5)))
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
        second = max(second, 0.0, -d)  # a share, and so is that of the first: rounding must not make it less
        variance = self.n * (2 * second + d * (1 - d))
        if variance <= 0:
            return 0.0 if excess == 0 else math.copysign(math.inf, excess)
        return excess / math.sqrt(variance)

    @property
    def least_drop(self) -> float:
        """About the smallest drop that a one-sided test at 5% would find with power 0.8, at this discordance.

        The normal approximation 2.49 sqrt(discordance / n); but five lost images and none won are the fewest that the
        exact test calls a drop, and five or more come with probability 0.8 if 6.72 are expected (Poisson).
        """
        normal = NormalDist()
        share = (self.first + self.second) / self.n
        usual = (normal.inv_cdf(0.95) + normal.inv_cdf(0.8)) * math.sqrt(share / self.n)
        return min(1.0, max(usual, FEWEST / self.n))
