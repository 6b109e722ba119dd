"""Intervals for proportions, for means of bounded values, and for areas under ROC curves; pure."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
_ROUNDING = 1e-9


class Interval(NamedTuple):
    """Both ends of a confidence interval."""

    low: float
    high: float


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for a proportion in [0, 1]: the p with |k/n - p| <= z sqrt(p(1 - p)/n).

    `successes` may be the sum of any n values in [0, 1]. Of all of mean p, zeros and ones have the greatest variance,
    p(1 - p) (Bhatia and Davis, "A better bound on the variance", 2000), so that the interval is then rather too wide; n
    may be an effective size, as of `clustered`. E. B. Wilson, "Probable inference, the law of succession, and
    statistical inference", JASA 22, 1927. Raises `ValueError` unless 0 <= successes <= n and n > 0.
    """
    _check(successes, n, confidence)
    # The standard library's quantile, since scipy's takes longer to import than a table takes to print.
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2) / (n + z2) * math.sqrt(successes * (n - successes) / n + z2 / 4)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
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


def clustered(values: npt.ArrayLike, top: float = 1.0, bottom: float = 0.0, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a mean of independent values in [bottom, top], each the mean of what is seen of one image.

    Cells of one image (severities, corruptions, frames) fail together, so images are counted, and not cells: Wilson's
    interval of the mean's place p in [bottom, top] with the effective size p(1 - p)/(s^2/n) of E. L. Korn and B. I.
    Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data", Survey Methodology 24, 1998. It is never below n, since s^2 <= p(1 - p). One value more at each end of those
    seen counts towards s^2, since a rare image weighs more than a sample shows (of equal values, at each end that is
    possible). Of zeros and ones it is Wilson's interval. Raises `ValueError` if there is no value, or one outside.
    """
    places = (np.asarray(values, dtype=np.float64) - bottom) / (top - bottom) if top > bottom else np.empty(0)
    n = len(places)
    if n == 0 or not (places.min() >= -_ROUNDING and places.max() <= 1 + _ROUNDING):
        raise ValueError(f"a mean asks for values in [{bottom}, {top}], and at least one.")
    p = min(max(float(places.mean()), 0.0), 1.0)
    low, high = (float(places.min()), float(places.max())) if np.ptp(places) > _ROUNDING else (0.0, 1.0)
    variance = (float(((places - p) ** 2).sum()) + (p - low) ** 2 + (high - p) ** 2) / n
    size = max(n, n * p * (1 - p) / variance)
    low, high = wilson(p * size, size, confidence)
    return Interval(bottom + low * (top - bottom), bottom + high * (top - bottom))


def _check(successes: float, n: float, confidence: float) -> None:
    if not (n > 0 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes of {n} are no proportion.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} must lie between 0 and 1.")


def crossed(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The interval of the mean of values [seeds, images] in [-1, 1] over all seeds and all images there might be.

    Seeds and images are two crossed random effects without replication: Var(mean) = (MS_seeds + MS_images - MS_rest) /
    (S N), with Student's t at the degrees of freedom of F. E. Satterthwaite, "An approximate distribution of estimates
    of variance components", Biometrics Bulletin 2, 1946. The variance is never taken to be less than that of the seeds
    or of the images alone. As in `clustered`, one value more at each end of those seen counts towards the spread of
    images, since a rare image weighs more than a sample shows (of equal values, at both ends that are possible). Raises
    `ValueError` unless there are two seeds and two images or more.
    """
    from scipy.special import stdtrit

    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(f"values of shape {table.shape} are no table of two or more seeds by two or more images.")
    seeds, images = table.shape
    mean, by_seed, by_image = float(table.mean()), table.mean(1), table.mean(0)
    ends = (by_image.min(), by_image.max()) if np.ptp(by_image) > _ROUNDING else (-1.0, 1.0)
    spread = ((by_image - mean) ** 2).sum() + sum((end - mean) ** 2 for end in ends)
    squares = [
        float(images * ((by_seed - mean) ** 2).sum()) / (seeds - 1),
        float(seeds * spread) / (images - 1),
        -float(((table - by_seed[:, None] - by_image + mean) ** 2).sum()) / ((seeds - 1) * (images - 1)),
    ]
    total, least = sum(squares), max(squares) * (1 - _ROUNDING)  # lest the order of values decide where both are equal
    if total < least:  # the rest outweighs one of the effects
        squares = [square if square >= least else 0.0 for square in squares]
        total = max(squares)
    freedom = (seeds - 1, images - 1, (seeds - 1) * (images - 1))
    degrees = total**2 / sum(square**2 / d for square, d in zip(squares, freedom, strict=True))
    half = float(stdtrit(degrees, 0.5 + confidence / 2)) * math.sqrt(total / table.size)
    return Interval(mean - half, mean + half)


class Area(NamedTuple):
    """An area under the ROC curve, in [0, 1], with its 95% interval."""

    value: float
    interval: Interval


def paired_auc(higher: npt.ArrayLike, lower: npt.ArrayLike, confidence: float = CONFIDENCE) -> Area:
    """P(a score of `higher` > one of `lower`) + P(equal)/2 over all pairs, both scores [n] of the same n images.

    The estimate is a mean over images of a_i + b_i - AUC, where a_i is the share of lower scores below the i-th higher
    one and b_i that of higher scores above the i-th lower one: its variance is that of a_i + b_i, over n, by N. A.
    Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997, which is that of DeLong et
    al. (Biometrics 44, 1988) with the two scores of an image allowed to depend on one another. Near 1 that has nothing
    left to see, so that the interval is Wilson's of the effective size AUC (1 - AUC) / variance, of at most n: for
    independent scores the variance is AUC (1 - AUC) / n at worst (D. van Dantzig, 1951). Raises `ValueError` unless
    there are as many of both, two or more, and all are numbers.
    """
    from scipy.stats import rankdata

    one, other = np.asarray(higher, dtype=np.float64), np.asarray(lower, dtype=np.float64)
    n = len(one)
    if one.ndim != 1 or one.shape != other.shape or n < 2 or np.isnan([one, other]).any():
        raise ValueError(f"scores of shapes {one.shape} and {other.shape} are no two of each of two or more images.")
    among = rankdata(np.concatenate([one, other]))
    above = (among[:n] - rankdata(one)) / n
    below = 1 - (among[n:] - rankdata(other)) / n
    value = float(above.mean())
    variance = float((above + below).var(ddof=1)) / n
    size = min(n, value * (1 - value) / variance) if variance > 0 else n
    return Area(value, wilson(value * size, size, confidence))
