"""Fog: a cloudy height map, made by the diamond-square algorithm, that is added to the image."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from rbench.corruptions.randomness import Randomness

WIBBLE = 100.0  # of the coarsest level; uniform numbers in [-wibble, wibble) are multiplied by it once more


def fog(x: Tensor, rng: Randomness, strength: float, decay: float, map_size: int) -> Tensor:
    """Fog of a strength on images x [B, 3, H, W] in [0, 1]; a larger decay makes smoother clouds.

    (x + strength * plasma) * max(x) / (max(x) + strength), with the largest value of the whole image and the upper left
    part of a plasma [map_size, map_size] in [0, 1]. Images with a longer side than map_size pixels get a map whose side
    is the next power of two. Requests of `rng`: those of `plasma`. Hendrycks and Dietterich, ICLR 2019, `fog`.
    """
    height, width = x.shape[-2:]
    size = max(int(map_size), covering(height, width))
    clouds = plasma(len(x), size, decay, rng).to(x)[:, None, :height, :width]
    brightest = x.amax((1, 2, 3), keepdim=True)
    return x.add(clouds, alpha=strength).mul_(brightest / (brightest + strength))


def fog_variant(x: Tensor, rng: Randomness, strength: float, decay: float, map_size: int) -> Tensor:  # noqa: ARG001
    """Fog as in the package imagecorruptions: the map is the smallest power of two that covers the image."""
    return fog(x, rng, strength, decay, covering(*x.shape[-2:]))


def covering(height: int, width: int) -> int:
    """The smallest power of two that is no smaller than either side."""
    return 1 << (max(height, width) - 1).bit_length()


def plasma(count: int, size: int, decay: float, rng: Randomness) -> Tensor:
    """Height maps by diamond-square on a torus, [count, size, size], stretched to [0, 1]; size is a power of two.

    From one point of height 0 every level doubles the grid: a new point is the mean of its four neighbours plus
    wibble * u, with u uniform in [-wibble, wibble) and wibble = 100, 100 / decay, ... Requests of `rng` per level, for
    a grid [n, n] of known points: uniform(n, n) for the centres of the squares, then for the points to the right of the
    known ones, then for the points below them. Fournier, Fussell and Carpenter, "Computer rendering of stochastic
    models", Communications of the ACM 1982.
    """
    grid, wibble = torch.zeros(count, 1, 1), WIBBLE
    while (n := grid.shape[-1]) < size:
        bumps = [rng.uniform((n, n), -wibble, wibble) for _ in range(3)]
        grid = _refined(grid.to(bumps[0]), wibble, *bumps)
        wibble /= decay
    low, high = grid.amin((1, 2), keepdim=True), grid.amax((1, 2), keepdim=True)  # quicker than aminmax
    return grid.sub_(low).div_(high - low)


def _refined(known: Tensor, wibble: float, centres: Tensor, rights: Tensor, belows: Tensor) -> Tensor:
    """The grid [B, 2n, 2n] in which the known points [B, n, n] are every second one; the others get their bumps."""
    grid = known.new_empty(len(known), *(2 * n for n in known.shape[1:]))
    grid[:, ::2, ::2] = known
    torus = pad(known, (0, 1, 0, 1), mode="circular")
    across, down = torus[:, :, :-1] + torus[:, :, 1:], torus[:, :-1] + torus[:, 1:]
    centre = (across[:, :-1] + across[:, 1:]).mul_(0.25).add_(centres, alpha=wibble)
    grid[:, 1::2, 1::2] = centre
    torus = pad(centre, (1, 0, 1, 0), mode="circular")
    beside = across[:, :-1].add_(torus[:, :-1, 1:]).add_(centre).mul_(0.25)
    beneath = down[:, :, :-1].add_(torus[:, 1:, :-1]).add_(centre).mul_(0.25)
    torch.add(beside, rights, alpha=wibble, out=grid[:, ::2, 1::2])
    torch.add(beneath, belows, alpha=wibble, out=grid[:, 1::2, ::2])
    return grid
