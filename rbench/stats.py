"""Intervals for proportions; pure."""

import math
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a proportion in [0, 1]: the p with |k/n - p| <= z sqrt(p(1 - p)/n).

    `successes` may be the sum of any n values in [0, 1]. Of all of mean p, zeros and ones have the greatest variance,
    p(1 - p) (Bhatia and Davis, "A better bound on the variance", 2000), so that the interval is then rather too wide.
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. Raises
    `ValueError` unless 0 <= successes <= n and n > 0.
    """
    _check(successes, n, confidence)
    # The standard library's quantile, since scipy's takes longer to import than a table takes to print.
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2) / (n + z2) * math.sqrt(successes * (n - successes) / n + z2 / 4)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high)


def clopper_pearson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Clopper and Pearson's exact interval for a proportion in [0, 1], whose coverage is never below `confidence`.

    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934, by quantiles of
    the beta distribution. Raises `ValueError` unless 0 <= successes <= n and n > 0.
    """
    from scipy.special import betaincinv

    _check(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high)


def _check(successes: float, n: int, confidence: float) -> None:
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes of {n} are no proportion.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} must lie between 0 and 1.")
