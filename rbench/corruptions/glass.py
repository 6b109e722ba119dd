"""Glass blur: pixels change places at random with their neighbours, between two Gaussian blurs."""

import torch
from torch import Tensor

from rbench.corruptions.exact import gaussian_bytes
from rbench.corruptions.randomness import Randomness

ROUNDS = 5  # doublings before it is checked whether a pixel is left: chains of over 32 pixels are rare


def glass_blur(x: Tensor, rng: Randomness, sigma: float, max_delta: int, iterations: int) -> Tensor:
    """A Gaussian blur of sigma pixels, cut to bytes; `iterations` passes of moves; the same blur again.

    A pass goes over the pixels from the last to the first, rows and columns d + 1, ..., size - d for d = max_delta, and
    gives each what the pixel (dx, dy) away holds by then, with dx and dy in -d, ..., d - 1. The authors meant an
    exchange, but NumPy's views leave the other pixel as it is. Draws integers(iterations, 2, H - 2d, W - 2d): dx and dy
    by the pixel's row and column, both upwards from d + 1.
    """
    height, width = x.shape[-2:]
    d = int(max_delta)
    moves = rng.integers((int(iterations), 2, height - 2 * d, width - 2 * d), -d, d)
    source = torch.arange(height * width, device=x.device).expand(len(x), -1)
    for move in moves.unbind(1):
        source = source.gather(1, sources(move, d, height, width))
    blurred = gaussian_bytes(x, sigma).flatten(2)
    moved = blurred.gather(2, source[:, None].expand(blurred.shape)).view(x.shape)
    return gaussian_bytes(moved, sigma)


def sources(move: Tensor, d: int, height: int, width: int) -> Tensor:
    """Where each pixel's value comes from after one pass, [B, H * W], for moves [B, 2, H - 2d, W - 2d].

    A pixel whose target was visited before it takes what that one took, and so on. Such chains are followed by pointer
    doubling among H * W pixels as they were, which point to themselves, and H * W pixels as they become.
    """
    count = height * width
    pixels = torch.arange(count, device=move.device)
    inside = slice(d + 1, height - d + 1), slice(d + 1, width - d + 1)
    inner = pixels.view(height, width)[inside]
    target = (move[:, 0] + inner).add_(move[:, 1], alpha=width)
    source = pixels.repeat(len(move), 2)
    if d > 1:  # else moves go back only, to pixels that are visited later
        visited = torch.zeros_like(pixels)
        visited.view(height, width)[inside] = count
        target += visited.index_select(0, target.flatten()).view_as(target) * (target > inner)
    source.view(-1, 2, height, width)[:, 1, inside[0], inside[1]] = target
    return _followed(source, count) if d > 1 else source[:, count:]


def _followed(source: Tensor, count: int) -> Tensor:
    """The ends of the chains, [B, count], for pointers [B, 2 count]."""
    rounds = 0
    while rounds < ROUNDS or bool((source >= count).any()):
        source, rounds = source.gather(1, source), rounds + 1
    return source[:, count:]
