"""How far apart two rankings of the classes are; pure.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019, section 3 and its appendix on Zipf's weights. A ranking lists classes by falling logit, equal ones by their index.
"""

import math

import numpy as np
import numpy.typing as npt

from rbench.types import IntArray

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
