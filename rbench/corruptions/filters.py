"""Linear filters that several corruptions share: Gaussian and motion blur, zoom, and the roundings to bytes."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

Mode = Literal["nearest", "reflect"]
LARGE = 128  # pixels a side from which a convolution by few taps beats a matrix product on a CPU
NEAR = 1e-4  # levels: what float32 may add to or take from a whole one


def truncated(x: Tensor, nudge: Tensor | float = NEAR) -> Tensor:
    """Images in [0, 1] cut down to multiples of 1/255, as a cast to uint8 does.

    What float32 has made almost whole levels becomes whole by `nudge`, a number or one for each level, [256]: negative
    where the authors' arithmetic ends just below, so that whole areas of one colour lose a level.
    """
    levels = x.clamp(0, 1).mul_(255)
    if isinstance(nudge, Tensor):
        nudge = nudge.index_select(0, (levels + 0.5).int().view(-1)).view_as(levels)
    return levels.add_(nudge).floor_().clamp_(0, 255).div_(255)


def rounded(x: Tensor) -> Tensor:
    """Images in [0, 1] rounded to multiples of 1/255, halves up."""
    return x.clamp(0, 1).mul_(255).add_(0.5).floor_().div_(255)


def gaussian(x: Tensor, sigma: float | tuple[float, float], *, truncate: float = 4.0, mode: Mode = "nearest") -> Tensor:
    """Blur the last two axes of x [..., H, W] with a Gaussian of sigma pixels, cut off at truncate sigmas.

    A pair of sigmas, above 0, is one along y and one along x. The kernel and the edges are those of
    `scipy.ndimage.gaussian_filter`: "nearest" repeats the last pixel, "reflect" mirrors the image
    (d c b a | a b c d | d c b a) as often as the radius needs. A radius of no pixel changes nothing.
    """
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    radii = [int(truncate * s + 0.5) for s in sigmas]
    if not any(radii):
        return x
    if convolves(x, max(radii)):
        planes = channels_last(x)
        for axis, s, radius in zip((2, 3), sigmas, radii, strict=True):
            (planes,) = along(planes, axis, [gaussian_kernel(s, radius)], mode)
        return channels_first(planes, x)
    rows, columns = (
        _gaussian_matrix(size, s, radius, mode, x.dtype, x.device)
        for size, s, radius in zip(x.shape[-2:], sigmas, radii, strict=True)
    )
    return rows @ (x @ columns.T)


def gaussian_kernel(sigma: float, radius: int) -> NDArray[np.float64]:
    """The weights of the pixels -radius, ..., radius."""
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def convolves(x: Tensor, radius: int) -> bool:
    """Whether a convolution along each axis is quicker for x [..., H, W] than the product with a dense matrix."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and min(x.shape[-2:]) >= max(LARGE, 8 * radius)


def along(planes: Tensor, axis: int, kernels: Sequence[NDArray[np.float64]], mode: Mode = "nearest") -> list[Tensor]:
    """Planes [1, planes, H, W], channels last, under kernels of one length along an axis, 2 or 3: one result for each.

    Depthwise convolutions of many channels side by side are what CPUs do best.
    """
    source = torch.from_numpy(_sources(planes.shape[axis], len(kernels[0]) // 2, mode))
    padded = planes.permute(0, 2, 3, 1).index_select(axis - 1, source).permute(0, 3, 1, 2)
    shape = (-1, 1) if axis == 2 else (1, -1)
    taps = (torch.from_numpy(kernel).to(planes.dtype).view(shape) for kernel in kernels)
    count = planes.shape[1]
    return [torch.conv2d(padded, tap.expand(count, 1, -1, -1).contiguous(), groups=count) for tap in taps]


def _sources(size: int, radius: int, mode: Mode) -> NDArray[np.int64]:
    """Which pixels of an axis stand for the pixels -radius, ..., size + radius - 1."""
    source = np.arange(-radius, size + radius)
    if mode == "nearest":
        return source.clip(0, size - 1)
    source %= 2 * size
    return np.minimum(source, 2 * size - 1 - source)


@lru_cache(maxsize=64)
def _gaussian_matrix(
    size: int, sigma: float, radius: int, mode: Mode, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The size x size matrix that blurs a column; dense, so that radii beyond the image cost no more than others."""
    kernel, source = gaussian_kernel(sigma, radius), _sources(size, radius, mode)
    matrix = np.zeros((size, size))
    for target in range(size):
        np.add.at(matrix[target], source[target : target + len(kernel)], kernel)
    return torch.from_numpy(matrix).to(device, dtype)


def channels_last(x: Tensor, multiple: int = 1) -> Tensor:
    """All planes of x [..., H, W] as channels of one image, [1, planes, H, W], next to each other in memory.

    Empty planes fill up their number to a `multiple`.
    """
    height, width = x.shape[-2:]
    planes = x.reshape(-1, height * width)
    planes = pad(planes, (0, 0, 0, -len(planes) % multiple))
    return planes.T.contiguous().view(1, height, width, -1).permute(0, 3, 1, 2)


def channels_first(planes: Tensor, like: Tensor) -> Tensor:
    """The planes [1, planes, H, W] with the shape and layout that they had in `like`."""
    found = planes[0].permute(1, 2, 0).reshape(-1, planes.shape[1]).T.contiguous()
    return found[: like.shape[:-2].numel()].view(like.shape)


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
        weights = weights * ((right.abs() < width) & (down.abs() < height))  # once outside, outside for good
    padded = pad(x, (2 * radius,) * 4, mode="replicate")
    gather = _added if x.device.type == "cpu" else _gathered
    return gather(padded, weights.to(x.dtype), right + 2 * radius, down + 2 * radius, height, width)


def _taps(radius: int, sigma: float, angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of a motion blur and how far right and down each pixel lies, each [B, 2 radius + 1]."""
    step = torch.arange(2 * radius + 1, dtype=torch.float64, device=angle.device)
    weights = torch.exp(-(step**2) / (2 * sigma**2))
    turn = torch.deg2rad(angle.double())[:, None]
    right, down = (torch.ceil(step * part - 0.5).long() for part in (torch.cos(turn), torch.sin(turn)))
    return (weights / weights.sum()).expand_as(right), right, down


def _added(padded: Tensor, weights: Tensor, right: Tensor, down: Tensor, height: int, width: int) -> Tensor:
    """Sums of windows [H, W] of the images by weights, all [B, taps]; image by image, which keeps them in the cache."""
    found = padded.new_zeros(*padded.shape[:2], height, width)
    for to, image, *taps in zip(found, padded, weights.tolist(), down.tolist(), right.tolist(), strict=True):
        for weight, top, left in zip(*taps, strict=True):
            to.add_(image[:, top : top + height, left : left + width], alpha=weight)
    return found


def _gathered(padded: Tensor, weights: Tensor, right: Tensor, down: Tensor, height: int, width: int) -> Tensor:
    """The same, all images at once, for accelerators: no number has to come back from the device."""
    found = padded.new_zeros(*padded.shape[:2], height, width)
    rows = torch.arange(len(padded), device=padded.device)
    # Every window of the padded images as a view: indexing it copies one window per image.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    for weight, top, left in zip(weights.T, down.T, right.T, strict=True):
        found += weight[:, None, None, None] * windows[rows, top, left]
    return found


def clipped_zoom(x: Tensor, factor: float) -> Tensor:
    """The middle of images x [B, C, H, W], enlarged by a factor >= 1 with bilinear weights to H x W pixels again.

    What `enlarged` makes too much is trimmed on both sides.
    """
    height, width = x.shape[-2:]
    large = enlarged(x, factor)
    top, left = (large.shape[-2] - height) // 2, (large.shape[-1] - width) // 2
    return large[..., top : top + height, left : left + width]


def enlarged(x: Tensor, factor: float) -> Tensor:
    """The middle of images x [B, C, H, W], enlarged by a factor >= 1 with bilinear weights to H x W pixels or more.

    The corners of the cut and of the enlarged image coincide, as with `scipy.ndimage.zoom(order=1)` in the authors'
    code.
    """
    height, width = x.shape[-2:]
    rows, columns = ceil(height / factor), ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    cut = x[..., top : top + rows, left : left + columns]
    if not x.is_contiguous():
        cut = cut.contiguous(memory_format=torch.channels_last)  # many channels side by side are quickest
    size = round(rows * factor), round(columns * factor)
    return interpolate(cut, size, mode="bilinear", align_corners=True)
