"""Spatter: drops of water or of mud on the lens."""

from functools import lru_cache

import torch
from torch import Tensor

from rbench.corruptions.edges import box, canny, embossed, equalised, thickness
from rbench.corruptions.filters import gaussian
from rbench.corruptions.parts import in_parts
from rbench.corruptions.randomness import Randomness

TURQUOISE = (175, 238, 238)
BROWN = (63, 42, 20)
COVERED = 0.8  # the share of mud around a pixel from which it is muddy
BAND = 32  # rows of a smoothing matrix that are worked on at once
DEPTH = 20  # pixels from the edge of a drop, beyond which it looks the same


def spatter(
    x: Tensor, rng: Randomness, loc: float, scale: float, sigma: float, threshold: float, strength: float, mud: float
) -> Tensor:
    """Images behind drops of water, or of mud if `mud` is 1.

    Drops are where normal noise of mean `loc` and deviation `scale`, smoothed by a Gaussian of `sigma` pixels, reaches
    `threshold`. Water shines by `strength` at its brightest; mud has edges that are smoothed by a Gaussian of
    `strength` pixels. An image without drops stays as it is. Request: normal (H, W).
    """
    noise = rng.normal(x.shape[-2:])
    splash = _mud if mud else water

    def spattered(part: Tensor, numbers: Tensor) -> Tensor:
        # In float64, since a pixel that comes to the other side of a threshold would change many.
        layer = smoothed(numbers.double() * scale + loc, sigma)
        return splash(part, layer.mul_(layer >= threshold), threshold, strength)

    return in_parts(spattered, x, noise)


def water(x: Tensor, layer: Tensor, threshold: float, strength: float) -> Tensor:  # noqa: ARG001
    """Turquoise light, by the depth of the water and by how its surface slopes near the edges of drops."""
    # The authors' cast to a byte drops whole multiples of 256.
    depth = (layer * 255).to(torch.int32).bitwise_and_(255).float()
    inside = thickness(canny(depth, 50, 150), DEPTH)
    light = box(embossed(equalised(inside, DEPTH + 1))).round_().mul_(depth)
    brightest = light.amax((1, 2), keepdim=True)
    light = (light / torch.where(brightest > 0, brightest, 1.0)).mul_(strength)
    return _truncated(light[:, None] * (x.new_tensor(TURQUOISE) / 255)[:, None, None] + x)


def _mud(x: Tensor, layer: Tensor, threshold: float, strength: float) -> Tensor:
    """Brown that covers the image where most of its surroundings are mud."""
    # In float64, so that mud without an end in sight is exactly opaque.
    cover = smoothed((layer > threshold).double(), strength).float()
    cover *= cover >= COVERED
    brown = (x.new_tensor(BROWN, dtype=torch.float64) / 255)[:, None, None]
    return _truncated((brown * cover[:, None]).add_(x * (1 - cover)[:, None])).float()


def smoothed(x: Tensor, sigma: float) -> Tensor:
    """`gaussian(x, sigma)` for float64 [B, H, W], several times as fast on a CPU."""
    if x.device.type != "cpu":
        return gaussian(x, sigma)
    down, right = (_bands(size, sigma) for size in x.shape[-2:])
    rows = torch.cat([band @ x[:, source] for source, band in down], 1)
    return torch.cat([rows[..., source] @ band.T for source, band in right], 2)


@lru_cache(maxsize=64)
def _bands(size: int, sigma: float) -> list[tuple[slice, Tensor]]:
    """The matrix that smooths an axis, some rows at a time: what they take numbers from, and with which weights."""
    columns = gaussian(torch.eye(size, dtype=torch.float64)[..., None], sigma)[..., 0]
    bands = []
    for rows in columns.T.split(BAND):
        used = rows.any(0).nonzero()
        source = slice(int(used.min()), int(used.max()) + 1)
        bands.append((source, rows[:, source].contiguous()))
    return bands


def _truncated(y: Tensor) -> Tensor:
    """Images cut down to multiples of 1/255; whole levels survive float32 as they are."""
    return y.clamp_(0, 1).mul_(255).floor_().div_(255)
