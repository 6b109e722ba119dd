"""Elastic transformations: images are sheared a little, then each pixel is fetched from a place nearby."""

from collections.abc import Callable

import torch
from torch import Tensor

from rbench.corruptions.filters import gaussian
from rbench.corruptions.randomness import Randomness

TRUNCATE = 3.0  # sigmas at which the Gaussian that smooths displacements is cut off
Fold = Callable[[Tensor, int], Tensor]
"""What gives for whole places, floats, on an axis of some pixels the ones of the image that stand there."""


def elastic_transform(x: Tensor, rng: Randomness, alpha: float, sigma: float, affine: float) -> Tensor:
    """Images moved by an affine map and by smooth random displacements; all parameters are in pixels.

    Three points, at a third of the shorter side from the centre, go up to `affine` pixels astray along each axis, and
    the map follows them. Displacements are uniform noise in [-1, 1), smoothed by a Gaussian of `sigma` and multiplied
    by `alpha` (Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", ICDAR 2003). Requests: uniform (3, 2) in [-affine, affine), (x, y) of each point; uniform
    (H, W) in [-1, 1) for displacements along x; again along y.
    """
    height, width = x.shape[-2:]
    levels = affinely((x * 255).round_(), rng.uniform((3, 2), -affine, affine))
    right, down = (rng.uniform((height, width), -1, 1) for _ in range(2))
    if alpha > 0:
        levels = displaced(levels, smoothed(down, sigma, alpha), smoothed(right, sigma, alpha))
    return levels.floor_().div_(255)


def elastic_transform_variant(x: Tensor, rng: Randomness, alpha: float, sigma: float, noise: float) -> Tensor:
    """Images moved by smooth random displacements, without an affine map.

    `sigma` is a share of the height along y and of the width along x, and displacements are uniform noise in
    [-n, n) before they are smoothed and multiplied by `alpha`, where n is the share `noise` of the height. Requests:
    uniform (H, W) in [-n, n) for displacements along x; again along y.
    """
    height, width = x.shape[-2:]
    reach = noise * height

    right, down = (rng.uniform((height, width), -reach, reach) for _ in range(2))
    sigmas = sigma * height, sigma * width
    levels = displaced((x * 255).round_(), smoothed(down, sigmas, alpha), smoothed(right, sigmas, alpha))
    return levels.floor_().div_(255)


def smoothed(field: Tensor, sigma: float | tuple[float, float], alpha: float) -> Tensor:
    """Noise, float32 [B, H, W], under a Gaussian whose mirror image lies beyond an edge, multiplied by `alpha`."""
    # The order of a matrix product's sums depends on the batch and the device; rounding from float64 hides it.
    return (gaussian(field.double(), sigma, truncate=TRUNCATE, mode="reflect") * alpha).float()


def displaced(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images [B, C, H, W] whose pixels are fetched from `down` and `right` pixels away, [B, H, W], bilinearly.

    Beyond an edge lies the mirror image, the last pixel twice (d c b a | a b c d), as with mode "reflect" of
    `scipy.ndimage.map_coordinates`.
    """
    # Places are split into whole pixels and parts before they are added up, which float32 could only do roughly.
    rows, columns = (torch.arange(n, dtype=x.dtype, device=x.device) for n in x.shape[-2:])
    below, beside = down.floor(), right.floor()
    return _fetched(x, below + rows[:, None], beside + columns, down - below, right - beside, mirrored)


def affinely(x: Tensor, offsets: Tensor) -> Tensor:
    """Images [B, C, H, W] under the affine maps that move three points by `offsets`, [B, 3, 2] as (x, y), bilinearly.

    Beyond an edge lies the mirror image, the last pixel once (d c b | a b c d). Places are multiples of 1/32 pixel, of
    coefficients that are multiples of 1/1024, like those of `cv2.warpAffine` before OpenCV 5, which made the official
    files.
    """
    height, width = x.shape[-2:]
    across, along, shift = _inverse(offsets, height, width)
    columns, rows = (torch.arange(n, dtype=torch.float64, device=x.device) for n in (width, height))
    # [B, 2, 1, W] and [B, 2, H, 1]: what the column and the row add to x and y, in 1/1024 pixel.
    moved = _fixed(across[..., None] * columns)[:, :, None, :]
    places = _fixed(along[..., None] * rows + shift[..., None])[..., None] + moved
    places = (places + 16).div_(32).floor_()
    whole = (places / 32).floor_()
    column, row = whole.float().unbind(1)
    right, down = (places.sub_(whole, alpha=32) / 32).float().unbind(1)
    return _fetched(x, row, column, down, right, mirrored_once)


def _inverse(offsets: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The maps from where three points went to where they were: p -> a p_x + b p_y + c; a, b, c float64 [B, 2]."""
    centre = offsets.new_tensor([height // 2, width // 2])  # in this order, as the authors have it, but meant as (x, y)
    q = min(height, width) // 3
    points = offsets.new_tensor([[q, q], [q, -q], [-q, -q]]) + centre
    first, second, third = (points + offsets).double().unbind(1)
    ahead, upright = (second - third) / (2 * q), (first - second) / (2 * q)
    determinant = ahead[:, 0] * upright[:, 1] - ahead[:, 1] * upright[:, 0]
    # Maps that squeeze the image to a line have no inverse and show its first pixel, as OpenCV's do.
    inverse = torch.where(determinant == 0, 0.0, 1 / determinant)[:, None]
    across = torch.stack([upright[:, 1], -ahead[:, 1]], 1) * inverse
    along = torch.stack([-upright[:, 0], ahead[:, 0]], 1) * inverse
    start = second - ahead * points[1, 0].double() - upright * points[1, 1].double()
    return across, along, -(across * start[:, :1] + along * start[:, 1:])


def _fixed(places: Tensor) -> Tensor:
    """Places in multiples of 1/1024 pixel, float64, within what a C int holds."""
    return (places * 1024).round_().clamp_(-(2.0**31), 2.0**31 - 1)


def mirrored(place: Tensor, size: int) -> Tensor:
    """Whole places in an image that goes on as its mirror image, the last pixel twice."""
    folded = place - (place / (2 * size)).floor_().mul_(2 * size)
    return torch.minimum(folded, 2 * size - 1 - folded)


def mirrored_once(place: Tensor, size: int) -> Tensor:
    """Whole places in an image that goes on as its mirror image, the last pixel once."""
    period = 2 * size - 2
    folded = place - (place / period).floor_().mul_(period)
    return torch.minimum(folded, period - folded)


def _fetched(x: Tensor, row: Tensor, column: Tensor, down: Tensor, right: Tensor, fold: Fold) -> Tensor:
    """Images [B, C, H, W] at row + down, column + right, whole places and parts, [B, H, W] each, bilinearly."""
    height, width = x.shape[-2:]
    pixels = x.flatten(2)
    above, below = (fold(place, height).mul_(width) for place in (row, row + 1))
    left, beside = (fold(place, width) for place in (column, column + 1))

    def at(start: Tensor, step: Tensor) -> Tensor:
        places = (start + step).long().flatten(1)
        return pixels.gather(2, places[:, None].expand(-1, x.shape[1], -1)).view_as(x)

    right, down = right[:, None], down[:, None]
    upper = at(above, left).lerp_(at(above, beside), right)
    return upper.lerp_(at(below, left).lerp_(at(below, beside), right), down)
