"""Image processing on bytes as OpenCV defines it, on batches: edges, distances from them, and equal histograms.

Images are float32 [B, H, W] with whole levels 0, ..., 255, or what the functions say.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

TAN_22_5 = 13573 / 32768  # OpenCV's, in a fixed point of 15 bits
STRAIGHT, DIAGONAL, KNIGHT = 1.0, 1.4, 2.1969

STEPS = (
    *((2, 1, KNIGHT), (2, -1, KNIGHT), (1, 2, KNIGHT), (1, -2, KNIGHT)),
    *((1, 1, DIAGONAL), (1, -1, DIAGONAL), (1, 0, STRAIGHT), (0, 1, STRAIGHT)),
)  # down, right, length


def canny(y: Tensor, low: float, high: float) -> Tensor:
    """Edges, bool [B, H, W], of images by Canny's detector with Sobel's 3 x 3 gradients in the norm |x| + |y|.

    Canny, "A computational approach to edge detection", PAMI 1986: pixels whose gradient is the largest along its
    direction and above `low`, if such pixels connect them with one above `high`.
    """
    right, down = _sobel(y)
    size = right.abs() + down.abs()
    candidate = _peaks(right, down, size) & (size > low)
    return _connected(candidate, candidate & (size > high))


def _sobel(y: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients along x and y; beyond an edge the last pixel is repeated."""
    padded = pad(y[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = padded[:, :, 2:] - padded[:, :, :-2]
    right = (across[:, :-2] + across[:, 2:]).add_(across[:, 1:-1], alpha=2)
    smooth = (padded[:, :, :-2] + padded[:, :, 2:]).add_(padded[:, :, 1:-1], alpha=2)
    return right, smooth[:, 2:] - smooth[:, :-2]


def _peaks(right: Tensor, down: Tensor, size: Tensor) -> Tensor:
    """Where gradients are the largest of three along their direction, bool; of two equal ones the first."""
    around = pad(size, (1, 1, 1, 1))
    above, beside, below = around[:, :-2], around[:, 1:-1], around[:, 2:]
    horizontal = (size > beside[:, :, :-2]) & (size >= beside[:, :, 2:])
    vertical = (size > above[:, :, 1:-1]) & (size >= below[:, :, 1:-1])
    falling = (size > above[:, :, :-2]) & (size > below[:, :, 2:])
    rising = (size > above[:, :, 2:]) & (size > below[:, :, :-2])
    wide, high = right.abs(), down.abs()
    border = wide * TAN_22_5  # exact in float32, and so is the other border, since tan 67.5 = 2 + tan 22.5
    flat, steep = high < border, high.sub_(wide, alpha=2) > border
    diagonal = _chosen((right < 0) ^ (down < 0), rising, falling)
    return _chosen(flat, horizontal, _chosen(steep, vertical, diagonal))


def _chosen(choice: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """As `torch.where` of bools, many times as fast on a CPU, which knows no branches in bits."""
    return no ^ ((yes ^ no) & choice)


def _connected(candidate: Tensor, seed: Tensor) -> Tensor:
    """The candidates, bool, that touch a seed or a chain of candidates to one, at a side or at a corner."""
    import numpy as np
    from scipy.ndimage import label

    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True  # within an image, not from image to image
    pieces, count = label(candidate.cpu().numpy(), touching)
    kept = np.zeros(count + 1, dtype=bool)
    kept[pieces[seed.cpu().numpy()]] = True
    return torch.from_numpy(kept[pieces]).to(candidate.device)


def distances(edges: Tensor, most: float) -> Tensor:
    """How far each pixel is from the nearest edge, bool [B, H, W], at most `most` <= 32: float32 pixels.

    Ways are made of steps to the 16 pixels around in a mask of 5 x 5, with the lengths 1, 1.4 and 2.1969 (Borgefors,
    "Distance transformations in digital images", CVGIP 1986).
    """
    away = (~edges).float().mul_(2 * most)
    # A shortest way takes one kind of step after another, each in one direction, so the order of the kinds is free.
    for down, right, length in STEPS:
        reached, needed = 0, int(most / length)
        while reached < needed:
            # As many steps at once as were taken before and one more: all numbers up to `needed` come together.
            count = min(reached + 1, needed - reached)
            _step(away, count * down, count * right, count * length)
            reached += count
    return away.clamp_(max=most)


def thickness(edges: Tensor, most: float) -> Tensor:
    """Means of distances over 3 x 3 pixels, cut down to whole ones."""
    return box(distances(edges, most)).floor_()


def _step(away: Tensor, down: int, right: int, length: float) -> None:
    """Shorten ways, in place, that may begin with a step there or back."""
    height, width = away.shape[-2:]
    if down >= height or abs(right) >= width:
        return
    here = slice(height - down), slice(max(-right, 0), width - max(right, 0))
    there = slice(down, None), slice(max(right, 0), width + min(right, 0))
    longer = away + length
    for one, other in ((here, there), (there, here)):
        torch.minimum(away[:, *one], longer[:, *other], out=away[:, *one])


def equalised(y: Tensor, levels: int) -> Tensor:
    """Images of levels 0, ..., levels - 1 with a flat histogram over 0, ..., 255, as `cv2.equalizeHist` makes it."""
    index = y.flatten(1).long()
    counts = torch.zeros(len(y), levels, device=y.device).scatter_add_(1, index, torch.ones_like(index, dtype=y.dtype))
    reached = counts.cumsum(1)
    first = torch.where(reached > 0, reached, torch.inf).amin(1, keepdim=True)  # how many have the lowest level
    rest = index.shape[1] - first
    scale = torch.full_like(rest, 255) / rest  # 255 / rest would be 255 times a reciprocal, and rounded twice
    table = ((reached - first) * scale).round_().clamp_(0, 255)
    # An image of one level keeps it.
    table = torch.where(rest > 0, table, torch.arange(levels, dtype=y.dtype, device=y.device))
    return table.gather(1, index).view_as(y)


def embossed(y: Tensor) -> Tensor:
    """Images under the mask -2 -1 0 | -1 1 1 | 0 1 2, cut to 0, ..., 255."""
    padded = _mirrored(y)
    above, beside, below = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    rising = (below[:, :, 2:] - above[:, :, :-2]).mul_(2)
    rising.add_(below[:, :, 1:-1]).sub_(above[:, :, 1:-1])
    return rising.add_(beside[:, :, 2:]).sub_(beside[:, :, :-2]).add_(y).clamp_(0, 255)


def box(y: Tensor) -> Tensor:
    """Means of 3 x 3 pixels."""
    padded = _mirrored(y)
    rows = (padded[:, :-2] + padded[:, 2:]).add_(padded[:, 1:-1])
    return (rows[:, :, :-2] + rows[:, :, 2:]).add_(rows[:, :, 1:-1]).div_(9)


def _mirrored(y: Tensor) -> Tensor:
    """Images with one more pixel on each side, the mirror image without the last pixel."""
    return pad(y[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
