"""Robust accuracy under an expensive protocol that was run on some of the images that a cheap one leaves; pure.

Of n images, `survivors` withstand the cheap attacks. The full protocol was run on a stratum of these for certain, and
on a random sample of the rest. Attacks are proofs, so that what they fooled is certain, and all of alpha goes to those
that were not looked at: the difference estimator of survey sampling (Cassel, Saerndal and Wretman, 1977), with a
one-sided bound that holds whenever one stops (`rbench.statistics.flips`).
"""

from dataclasses import dataclass

import numpy as np

from rbench.statistics.flips import most
from rbench.types import FloatArray, IntArray


@dataclass(frozen=True)
class Survey:
    """The full protocol fooled `certain_flips` of the `certain` images, and `flips` of `drawn` ones of the rest."""

    n: int
    survivors: int
    certain: int = 0
    certain_flips: int = 0
    drawn: int = 0
    flips: int = 0
    alpha: float = 0.05

    @property
    def asked(self) -> int:
        """How many survivors the full protocol was run on."""
        return self.certain + self.drawn

    @property
    def rest(self) -> int:
        """The survivors outside the certain stratum, of which a sample is drawn."""
        return self.survivors - self.certain

    @property
    def high(self) -> float:
        """The upper end, a proof: nothing that was fooled can count."""
        return (self.survivors - self.certain_flips - self.flips) / self.n

    @property
    def low(self) -> float:
        """The lower end: with probability 1 - alpha no more of the rest would fall, whenever one stops."""
        unseen = most(self.flips, self.drawn, self.rest, self.alpha) if self.rest else 0
        return (self.survivors - self.certain_flips - unseen) / self.n

    @property
    def estimate(self) -> float:
        """The unbiased estimate for a sample of fixed size; the upper end while nothing is drawn."""
        share = self.flips / self.drawn if self.drawn else 0.0
        return (self.survivors - self.certain_flips - self.rest * share) / self.n

    @property
    def width(self) -> float:
        """The distance of both ends."""
        return self.high - self.low


def strata(survivors: IntArray, margins: FloatArray, count: int, seed: int) -> tuple[IntArray, IntArray]:
    """The `count` survivors of least margin, to be asked for certain; and the others in a random order."""
    order = np.lexsort((survivors, margins))
    certain, rest = survivors[order[:count]], np.sort(survivors[order[count:]])
    return certain, np.random.default_rng(seed).permutation(rest)


def text(found: Survey, title: str, attack: str, passes: int) -> str:
    """Both ends of the robust accuracy in %, how they are known, and what that cost."""
    asked = found.asked
    saving = f" (on all of them {found.survivors / asked:.1f} times as many, at that price)" if asked else ""
    ends = (
        f"{title}: at most {100 * found.high:.2f} %, which is proven by what was fooled; at least "
        f"{100 * found.low:.2f} %, with {100 * (1 - found.alpha):g}% confidence; estimate {100 * found.estimate:.2f} %."
    )
    cost = (
        f"{attack} was run on {asked} of the {found.survivors} images, of {found.n}, that the other probes leave: "
        f"on the {found.certain} of least margin ({found.certain_flips} fell) and on {found.drawn} of the others at "
        f"random ({found.flips} fell); {passes:,} passes{saving}."
    )
    return f"{ends}\n{cost}"
