"""How many of N items are flipped at most, from a sample without replacement: exact at one look, or valid at any.

Flips are images that a cheap attack leaves standing and the full protocol fools. Attacks are proofs, so that flips
seen are certain and all of alpha goes to those that were not looked at.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

COUNTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)  # of flips in the mixture of `most_at_any_look`
FEW = 0.5  # of the mixture's weight, on the first of them


def most(flips: int, drawn: int, items: int, alpha: float = 0.05) -> int:
    """The largest number of flips among `items` that `flips` in a sample of `drawn` do not refute at level `alpha`.

    The upper end of a one-sided interval for a hypergeometric count: max{K: P(at most `flips` | K) > alpha}. Valid for
    a size of the sample that was fixed before; for looks at several sizes see `most_at_any_look`. J. D. Konijn,
    "Statistical theory of sample survey design and analysis", 1973, chapter 2. Raises `ValueError` for counts that make
    no sense.
    """
    from scipy.stats import hypergeom

    _check(flips, drawn, items, alpha)
    low, high = flips, items - (drawn - flips)  # the last K is possible, since it may be what was seen
    if drawn == 0:
        return items
    while low < high:  # the probability falls with K
        middle = (low + high + 1) // 2
        if hypergeom.cdf(flips, items, middle, drawn) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def most_at_any_look(flips: int, drawn: int, items: int, alpha: float = 0.05, counts: Sequence[int] = COUNTS) -> int:
    """The same, valid at all looks at a sample that grows in one random order, whenever one stops.

    The likelihood of the sequence under K, against a mixture over `counts` that was fixed before: under K the ratio is
    a martingale of mean 1, so that by Ville's inequality it ever reaches 1/alpha with probability alpha at most. I.
    Waudby-Smith and A. Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020.
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


Bound = Callable[[int, int, int, float], int]


def enough(items: int, tolerated: int, alpha: float = 0.05, bound: Bound = most) -> int:
    """The smallest sample that, with no flip in it, shows by `bound` that at most `tolerated` of items are flipped."""
    low, high = 0, items
    while low < high:
        middle = (low + high) // 2
        if bound(0, middle, items, alpha) <= tolerated:
            high = middle
        else:
            low = middle + 1
    return low


def _check(flips: int, drawn: int, items: int, alpha: float) -> None:
    if not 0 <= flips <= drawn <= items:
        raise ValueError(f"{flips} flips of {drawn} drawn from {items} items make no sense.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha} must lie between 0 and 1.")
