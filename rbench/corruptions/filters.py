"""Linear filters that several corruptions share: Gaussian and motion blur, zoom, and the roundings to bytes."""

from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

Mode = Literal["nearest", "reflect"]


def truncated(x: Tensor) -> Tensor:
    """Images in [0, 1] cut down to multiples of 1/255, as a cast to uint8 does; the nudge keeps k/255 at k."""
    return (x.clamp(0, 1) * 255 + 1e-4).floor().clamp(max=255) / 255


def rounded(x: Tensor) -> Tensor:
    """Images in [0, 1] rounded to multiples of 1/255, halves up."""
    return (x.clamp(0, 1) * 255 + 0.5).floor() / 255


def gaussian(x: Tensor, sigma: float, *, truncate: float = 4.0, mode: Mode = "nearest") -> Tensor:
    """Blur the last two axes of x [..., H, W] with a Gaussian of sigma pixels, cut off at truncate sigmas.

    The kernel and the edges are those of `scipy.ndimage.gaussian_filter`: "nearest" repeats the last pixel, "reflect"
    mirrors the image (d c b a | a b c d | d c b a) as often as the radius needs. A radius of no pixel changes nothing.
    """
    if int(truncate * sigma + 0.5) == 0:
        return x
    rows, columns = (_gaussian_matrix(size, sigma, truncate, mode, x.dtype, x.device) for size in x.shape[-2:])
    return rows @ (x @ columns.T)


@lru_cache(maxsize=64)
def _gaussian_matrix(
    size: int, sigma: float, truncate: float, mode: Mode, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The size x size matrix that blurs a column; dense, so that radii beyond the image cost no more than others."""
    radius = int(truncate * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    source = np.arange(size)[:, None] + steps
    if mode == "nearest":
        source = source.clip(0, size - 1)
    else:
        source %= 2 * size
        source = np.minimum(source, 2 * size - 1 - source)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], source), kernel)
    return torch.from_numpy(matrix).to(device, dtype)


def motion(x: Tensor, radius: int, sigma: float, angle: Tensor, *, truncate: bool = False) -> Tensor:
    """Blur images x [B, C, H, W] along lines at `angle` degrees, [B], like MotionBlurImage of ImageMagick.

    A pixel becomes the mean of the width = 2 radius + 1 pixels at (x + ceil(i cos - 1/2), y + ceil(i sin - 1/2)),
    i = 0, ..., width - 1, with weights exp(-i^2 / 2 sigma^2); beyond the edge lie copies of the last pixel. `truncate`
    drops the pixels from the first on that lies as far away as the image is long and leaves the other weights as they
    are, like imagecorruptions. The result is not rounded.
    """
    height, width = x.shape[-2:]
    weights, right, down = _taps(radius, sigma, angle)
    if truncate:
        outside = (right.abs() >= width) | (down.abs() >= height)
        weights = weights * (outside.cumsum(1) == 0)
    return _gathered(x, weights.to(x.dtype), right, down)


def _taps(radius: int, sigma: float, angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of a motion blur and how far right and down each pixel lies, each [B, 2 radius + 1]."""
    step = torch.arange(2 * radius + 1, dtype=torch.float64, device=angle.device)
    weights = torch.exp(-(step**2) / (2 * sigma**2))
    turn = torch.deg2rad(angle.double())[:, None]
    right, down = (torch.ceil(step * part - 0.5).long() for part in (torch.cos(turn), torch.sin(turn)))
    return (weights / weights.sum()).expand_as(right), right, down


def _gathered(x: Tensor, weights: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """The sums of the pixels `right` and `down` from each, by weights, [B, taps] all."""
    height, width = x.shape[-2:]
    reach = weights.shape[1]
    padded = pad(x, (reach,) * 4, mode="replicate")
    rows = torch.arange(len(x), device=x.device)
    # Every window [H, W] of the padded images as a view: indexing it copies one window per image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    found = torch.zeros_like(x)
    for tap in range(weights.shape[1]):
        found += weights[:, tap, None, None, None] * windows[rows, down[:, tap] + reach, right[:, tap] + reach]
    return found


def clipped_zoom(x: Tensor, factor: float) -> Tensor:
    """The middle of images x [..., C, H, W], enlarged by a factor >= 1 with bilinear weights to H x W pixels again.

    The corners of the cut and of the enlarged image coincide; what is over is trimmed, as with
    `scipy.ndimage.zoom(order=1)` in the authors' code.
    """
    height, width = x.shape[-2:]
    rows, columns = ceil(height / factor), ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    cut = x[..., top : top + rows, left : left + columns]
    size = round(rows * factor), round(columns * factor)
    large = interpolate(cut, size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[..., top : top + height, left : left + width]
