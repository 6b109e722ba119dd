"""Bytes resized as cv2.resize does, whose rounding the frost of the official files has gone through."""

from math import ceil

import torch
from torch import Tensor

BITS = 11  # the fixed-point weights of OpenCV are multiples of 2^-11


def linear(x: Tensor, factor: float) -> Tensor:
    """Bytes x [C, H, W], uint8, scaled by a factor with two weights an axis, as `cv2.resize(fx=, fy=, INTER_LINEAR)`.

    There is no antialiasing: reduced images skip pixels. The whole numbers and their shifts are OpenCV's.
    """
    height, width = x.shape[-2:]
    left, right, weight = _neighbours(width, round(width * factor), 1 / factor)
    across = _fixed(1 - weight) * x[..., left].int() + _fixed(weight) * x[..., right].int()
    upper, lower, weight = (part[:, None] for part in _neighbours(height, round(height * factor), 1 / factor))
    across >>= 4
    parts = _fixed(1 - weight) * across[:, upper[:, 0]] >> 16, _fixed(weight) * across[:, lower[:, 0]] >> 16
    return (parts[0] + parts[1] + 2 >> 2).to(torch.uint8)


def cubic(x: Tensor, factor: float) -> Tensor:
    """Bytes x [C, H, W], uint8, enlarged by a factor, with sides rounded up, as `cv2.resize(dsize=, INTER_CUBIC)`.

    Convolution with the cubic kernel of a = -3/4; Keys, "Cubic convolution interpolation for digital image processing",
    IEEE Transactions on Acoustics, Speech, and Signal Processing 1981.
    """
    size = [ceil(side * factor) for side in x.shape[-2:]]
    large = torch.nn.functional.interpolate(x[None].double(), size, mode="bicubic", align_corners=False)
    return large[0].round_().clamp_(0, 255).to(torch.uint8)


def _neighbours(size: int, new: int, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """For each of the new pixels the two old ones around it and the weight of the second."""
    at = ((torch.arange(new, dtype=torch.float64) + 0.5) * step - 0.5).float()
    first = at.floor()
    weight = at - first
    return first.long().clamp(0, size - 1), (first.long() + 1).clamp(0, size - 1), weight


def _fixed(weight: Tensor) -> Tensor:
    return (weight * 2**BITS).round().int()
