"""The geometric perturbations: sequences of an image that moves, turns, tilts, grows or shears on black.

The affine ones are Pillow's `Image.transform` with the matrices of torchvision 0.2, which made the official files: they
turn about the point (width / 2 + 1/2, height / 2 + 1/2), half a pixel off the centre, and shearing by an angle
contracts the height by its cosine. Images are uint8 [B, 3, H, W], `window` is the size (h, w) that is cut from the
middle of every frame, and sequences are uint8 [B, T, 3, h, w].
"""

from collections.abc import Iterable, Sequence
from math import cos, hypot, radians, sin, tan

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

Window = tuple[int, int]
Turn = tuple[tuple[float, float], tuple[float, float]]
Matrix = npt.NDArray[np.float64]
Taps = tuple[Tensor, Tensor]
"""Four source pixels of every output pixel, numbered row by row, int64 [h w, 4], and their weights, float64."""
CUT, ROUND = 1e-4, 0.5  # before a cast to bytes; the first keeps whole numbers whole in float32


def translate(x: Tensor, window: Window, pixels: Sequence[float]) -> Tensor:
    """The image moved right by whole pixels."""
    (top, left), (height, width) = _corner(x, window), window
    reach = int(max(map(abs, pixels)))
    wide = pad(x, (reach, reach, 0, 0))
    starts = [left + reach - int(step) for step in pixels]
    return torch.stack([wide[..., top : top + height, start : start + width] for start in starts], 1)


def rotate(x: Tensor, window: Window, degrees: Sequence[float]) -> Tensor:
    """The image turned clockwise, bilinear."""
    angles = [radians(angle) for angle in degrees]
    return _moved(x, window, [((cos(a), sin(a)), (-sin(a), cos(a))) for a in angles])


def scale(x: Tensor, window: Window, factors: Sequence[float]) -> Tensor:
    """The image enlarged by factors > 0, bilinear and without smoothing when it shrinks."""
    return _moved(x, window, [((1 / factor, 0.0), (0.0, 1 / factor)) for factor in factors])


def shear(x: Tensor, window: Window, degrees: Sequence[float]) -> Tensor:
    """The image with its vertical lines leant to the left at the bottom and contracted by the cosine, bilinear."""
    angles = [radians(angle) for angle in degrees]
    return _moved(x, window, [((1.0, tan(a)), (0.0, 1 / cos(a))) for a in angles])


def zoom_blur(x: Tensor, window: Window, factors: Sequence[float]) -> Tensor:
    """In frame i the mean of the image enlarged by the factors 0..i, each cut to bytes, and the mean cut to bytes."""
    large = scale(x, window, factors)
    total = torch.zeros_like(large[:, 0], dtype=torch.int32)
    for i in range(large.shape[1]):
        total += large[:, i]
        large[:, i] = (total // (i + 1)).to(torch.uint8)
    return large


def tilt(x: Tensor, window: Window, degrees: Sequence[float]) -> Tensor:
    """The image turned about both its axes by the same angle and seen from the distance of its diagonal, bilinear.

    Sampled like `cv2.warpPerspective` up to OpenCV 4: at multiples of 1/32 pixel, rounded to bytes.
    """
    height, width = x.shape[-2:]
    views = (_view(height, width, radians(angle)) for angle in degrees)
    return _warped(x, window, (_perspective(x, window, view) for view in views), ROUND)


def centred(x: Tensor, window: Window) -> Tensor:
    """The window in the middle of images [..., H, W]."""
    top, left = _corner(x, window)
    return x[..., top : top + window[0], left : left + window[1]]


def _corner(x: Tensor, window: Window) -> tuple[int, int]:
    """The first row and column of the window in the middle, rounded like torchvision's CenterCrop."""
    return round((x.shape[-2] - window[0]) / 2), round((x.shape[-1] - window[1]) / 2)


def _pixels(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """The columns [1, w] and rows [h, 1] of the window in the whole image."""
    top, left = _corner(x, window)
    rows = torch.arange(top, top + window[0], dtype=torch.float64, device=x.device)
    columns = torch.arange(left, left + window[1], dtype=torch.float64, device=x.device)
    return columns[None, :], rows[:, None]


def _moved(x: Tensor, window: Window, matrices: Sequence[Turn]) -> Tensor:
    return _warped(x, window, (_affine(x, window, matrix) for matrix in matrices), CUT)


def _affine(x: Tensor, window: Window, matrix: Turn) -> Taps:
    """Where Pillow reads: at the matrix times the way from the turning point; beyond the edge there is nothing."""
    height, width = x.shape[-2:]
    (a, b), (c, d) = matrix
    middle = width / 2 + 0.5, height / 2 + 0.5
    shift = middle[0] - a * middle[0] - b * middle[1], middle[1] - c * middle[0] - d * middle[1]
    columns, rows = (found + 0.5 for found in _pixels(x, window))
    right, down = a * columns + b * rows + shift[0], c * columns + d * rows + shift[1]
    inside = (right >= 0) & (right < width) & (down >= 0) & (down < height)
    index, weights, _ = _bilinear(right - 0.5, down - 0.5, height, width)
    return index, weights * inside.reshape(-1, 1)


def _view(height: int, width: int, angle: float) -> Matrix:
    """The homography from the image to its tilted view: to the centre, turned, moved away and projected."""
    away = hypot(width, height)
    across = np.array([[1, 0, 0], [0, cos(angle), -sin(angle)], [0, sin(angle), cos(angle)]])
    upright = np.array([[cos(angle), 0, -sin(angle)], [0, 1, 0], [sin(angle), 0, cos(angle)]])
    # The image lies in the plane z = 1, as the authors' has it, not through the point about which it turns.
    plane = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    camera = np.array([[away, 0, width / 2], [0, away, height / 2], [0, 0, 1]])
    depth = np.array([[0, 0, 0], [0, 0, 0], [0, 0, away]])
    return camera @ (across @ upright @ plane + depth)


def _perspective(x: Tensor, window: Window, view: Matrix) -> Taps:
    """Where OpenCV reads: at the inverse of the homography, to 1/32 pixel; beyond the edge lies black."""
    height, width = x.shape[-2:]
    columns, rows = _pixels(x, window)
    right, down, depth = (a * columns + b * rows + c for a, b, c in np.linalg.inv(view).tolist())
    right, down = ((found * (32 / depth)).round() / 32 for found in (right, down))
    index, weights, inside = _bilinear(right, down, height, width)
    return index, weights * inside


def _bilinear(right: Tensor, down: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The four pixels about each point [h, w], their weights, and which lie in the image; others are moved to its edge.

    All are [h w, 4].
    """
    column, row = right.floor(), down.floor()
    across, along = right - column, down - row
    columns = torch.stack([column, column + 1, column, column + 1], -1).reshape(-1, 4)
    rows = torch.stack([row, row, row + 1, row + 1], -1).reshape(-1, 4)
    parts = [(1 - along) * (1 - across), (1 - along) * across, along * (1 - across), along * across]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    return index.long(), torch.stack(parts, -1).reshape(-1, 4), inside


def _warped(x: Tensor, window: Window, frames: Iterable[Taps], nudge: float) -> Tensor:
    """A frame for each set of taps: the weighted sums of pixels, plus a nudge, cut to bytes.

    The taps are the same for all images, so that a source pixel of all of them is one row of a table.
    """
    batch, height, width = len(x), *x.shape[-2:]
    table = x.permute(2, 3, 0, 1).reshape(height * width, batch * 3).float()
    found = []
    for index, weights in frames:
        sums = embedding_bag(index, table, per_sample_weights=weights.float(), mode="sum")
        found.append((sums + nudge).to(torch.uint8).view(*window, batch, 3).permute(2, 3, 0, 1))
    return torch.stack(found, 1)
