"""Truncation to bytes as the authors' arithmetic has it: which side of a whole level float64 falls on, without float64.

Truncation makes the last bit count. Where all of a filter's window has one colour, its exact result is a whole level,
and the authors' code ends at, or just below, that level, always alike: for some levels whole areas lose one. Where only
the window's far end differs the result is off a whole level by less than float32 can tell.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rbench.corruptions.filters import along, channels_first, channels_last, convolves, gaussian, gaussian_kernel

TIE = 1e-12  # levels: less is due to rounding in float64
HIGH, LOW = 2.0**14, 2.0**25  # parts of a weight: few enough bits for sums with bytes to be exact in float32


def nudges(levels: NDArray[np.floating[Any]], size: float, device: torch.device) -> Tensor:
    """What to add before truncation, [256] by level, where the authors get `levels` from areas of 0, 1, ..., 255."""
    return torch.from_numpy(np.where(levels < np.arange(256), -size, size).astype(np.float32)).to(device)


def gaussian_bytes(x: Tensor, sigma: float) -> Tensor:
    """Images x [..., H, W] of multiples of 1/255 after scipy's Gaussian filter in float64, cut down to such multiples.

    The filter is that of `filters.gaussian` with truncate = 4 and mode = "nearest".
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return x
    levels = (x * 255).round_()
    if convolves(x, radius):
        excess = channels_first(_excess(channels_last(levels), gaussian_kernel(sigma, radius)), x)
    else:
        excess = gaussian(levels.double(), sigma) - levels
    nudge = _gaussian_nudges(sigma, x.device).index_select(0, levels.int().view(-1)).view_as(levels)
    return levels.add_((excess + nudge).floor_()).div_(255)


@lru_cache(maxsize=64)
def _gaussian_nudges(sigma: float, device: torch.device) -> Tensor:
    from scipy.ndimage import gaussian_filter

    flat = np.arange(256)[:, None, None] / 255  # 256 images of one pixel
    return nudges(gaussian_filter(flat, (0, sigma, sigma), mode="nearest").ravel() * 255, TIE, device)


def _excess(levels: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """What a kernel of sum 1 along both axes adds to levels, [1, planes, H, W], with a relative error of float32.

    With kernels 1 + D the filter is (1 + D)(1 + D) = 1 + D + D + D D. Weights of D are split into two parts whose sums
    with bytes are exact, and that sum to zero, so that differences of levels, however small their weight, survive.
    """
    less = kernel.copy()
    less[len(kernel) // 2] -= 1
    high = _zero_sum(np.rint(less * HIGH) / HIGH)
    low = _zero_sum(np.rint((less - high) * LOW) / LOW)
    right_high, right_low = along(levels, 3, [high, low])
    down_high, down_low = along(levels, 2, [high, low])
    (both,) = along(right_high + right_low, 2, [less])
    return right_high.add_(down_high).add_(right_low.add_(down_low)).add_(both)


def _zero_sum(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel[len(kernel) // 2] -= kernel.sum()
    return kernel
