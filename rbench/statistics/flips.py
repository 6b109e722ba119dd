"""How many of N items are flipped at most, from a sample without replacement, at whatever look.

Flips are images that a cheap attack leaves standing and the full protocol fools. Attacks are proofs, so that flips
seen are certain and all of alpha goes to those that were not looked at.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

COUNTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)  # of flips in the mixture of `most`
FEW = 0.5  # of the mixture's weight, on the first of them


def most(flips: int, drawn: int, items: int, alpha: float = 0.05, counts: Sequence[int] = COUNTS) -> int:
    """The largest number of flips among `items` that `flips` in a sample of `drawn` do not refute at level `alpha`.

    It holds at all looks at a sample that grows in one random order, whenever one stops. The likelihood (that of the
    hypergeometric distribution) of the sequence under K is set against a mixture over `counts` that was fixed before:
    under K the ratio is a martingale of mean 1, so that by Ville's inequality it ever reaches 1/alpha with probability
    alpha at most. I. Waudby-Smith and A. Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020.
    Raises `ValueError` for counts that make no sense.
    """
    _check(flips, drawn, items, alpha)
    possible = np.arange(flips, items - (drawn - flips) + 1)
    mixed = [count for count in counts if count <= items]
    weights = np.full(len(mixed), (1 - FEW) / max(len(mixed) - 1, 1))
    weights[0] = FEW if len(mixed) > 1 else 1.0
    evidence = np.logaddexp.reduce(np.log(weights) + _likelihood(np.array(mixed), flips, drawn, items))
    kept = possible[evidence - _likelihood(possible, flips, drawn, items) < -np.log(alpha)]
    return int(kept.max()) if len(kept) else int(possible[-1])


def _likelihood(count: npt.NDArray[np.int64], flips: int, drawn: int, items: int) -> npt.NDArray[np.float64]:
    """The logarithm of the probability of one sequence with so many flips if `count` of all items are flipped."""
    from scipy.special import gammaln

    others = items - count
    with np.errstate(invalid="ignore"):
        ways = gammaln(count + 1) - gammaln(count - flips + 1) + gammaln(others + 1)
        ways = ways - gammaln(others - (drawn - flips) + 1) - gammaln(items + 1) + gammaln(items - drawn + 1)
    return np.where((count >= flips) & (others >= drawn - flips), ways, -np.inf)


def _check(flips: int, drawn: int, items: int, alpha: float) -> None:
    if not 0 <= flips <= drawn <= items:
        raise ValueError(f"{flips} flips of {drawn} drawn from {items} items make no sense.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha} must lie between 0 and 1.")
