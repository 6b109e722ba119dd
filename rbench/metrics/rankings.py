"""How far apart two rankings of the classes are; pure.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019, section 3 and its appendix on Zipf's weights. A ranking lists classes by falling logit, equal ones by their index.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.types import FloatArray, IntArray

TOP = 5
FARTHEST_TOP5 = 18.0  # the greatest of all rankings of eight classes or more: 5 and 4 come first, 1 to 3 leave
FARTHEST_ZIPF = math.sqrt(2) * math.pi**2 / 6  # by Cauchy and Schwarz; of 1,000 classes the greatest is 1.84


def top5_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> IntArray:
    """The top-5 distance sum_{i=1..5} |min(sigma(i), 6) - i|, a whole number in [0, 18].

    sigma(i) is the rank in `second` of the class that `first` ranks i-th; both are int [..., 5], the classes of the
    largest logits, and whatever is not among them has a rank beyond five. Raises `ValueError` on other shapes.
    """
    one, two = np.asarray(first), np.asarray(second)
    if one.shape != two.shape or one.shape[-1:] != (TOP,):
        raise ValueError(f"top-5 lists are [..., 5] and of one shape, not {one.shape} and {two.shape}")
    same = one[..., :, None] == two[..., None, :]
    rank = np.where(same.any(-1), same.argmax(-1) + 1, TOP + 1)
    return np.abs(rank - np.arange(1, TOP + 1)).sum(-1)


def zipf_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """Zipf's distance sum_{i=1..K} w_i |w_i - w_sigma(i)| with w_i = 1/i, in [0, 2.33), of full rankings [..., K].

    sigma(i) is the rank in `second` of the class that `first` ranks i-th. Raises `ValueError` unless both are
    permutations of 0..K-1.
    """
    one, two = np.asarray(first), np.asarray(second)
    classes = np.arange(one.shape[-1])
    if one.shape != two.shape or any((np.sort(ranking, -1) != classes).any() for ranking in (one, two)):
        raise ValueError("full rankings are permutations of 0..K-1 and of one shape")
    weights = 1.0 / (classes + 1)
    sigma: npt.NDArray[Any] = np.take_along_axis(np.argsort(two, -1), one, -1)
    return (weights * np.abs(weights - weights[sigma])).sum(-1)
