"""Where the Square attack begins and what it proposes, for either norm; random numbers come as 32-bit words."""

import torch
from torch import Tensor

from rbench.attacks._ball import Ball, l2_norm
from rbench.rng import Draws

TINY = 1e-12


def stripes(ball: Ball, rng: Draws) -> Tensor:
    """Vertical stripes of +-eps, a sign for every column and channel."""
    channels, _, width = ball.x.shape[1:]
    signs = _signs(rng.words(channels * width, 0), ball.x)
    return ball.project(ball.x + ball.radius * signs.view(-1, channels, 1, width))


def propose_linf(ball: Ball, current: Tensor, share: float, words: Tensor) -> Tensor:
    """A square pushed by +-2 eps, a sign for every channel: within the ball its pixels go to one end of the range."""
    height, width = ball.x.shape[2:]
    size = min(max(round((share * height * width) ** 0.5), 1), height, width)
    top, left = _corners(ball.x, size, words[:, 0], words[:, 1])
    rows, columns = _inside(height, top, size)[:, None, :, None], _inside(width, left, size)[:, None, None, :]
    push = rows * (_channel_signs(words[:, 2], ball.x) * (2 * ball.radius))
    return ball.project(torch.addcmul(current, push, columns))


def tiles(ball: Ball, rng: Draws) -> Tensor:
    """A five by five grid of bumps of random sign and direction, scaled to norm eps."""
    channels, height, width = ball.x.shape[1:]
    size = max(height // 5, 1)
    down, across = height // size, width // size
    words = rng.words(down * across * (channels + 1), 0).view(len(ball.x), down * across, channels + 1)
    signs = _signs(words[:, :, :channels], ball.x).transpose(1, 2)[..., None, None]
    upright = _bump(size, ball.x)
    turned = (words[:, :, channels] >> 31).bool()[:, None, :, None, None]
    bumps = signs * torch.where(turned, upright.T, upright)  # [B, C, tiles, size, size]
    grid = bumps.unflatten(2, (down, across)).transpose(3, 4).reshape(len(bumps), channels, down * size, across * size)
    delta = torch.zeros_like(ball.x)
    margin = (height - 5 * size) // 2 if height >= 5 * size else 0
    grid = grid[:, :, : height - margin, : width - margin]
    delta[:, :, margin : margin + grid.shape[2], margin : margin + grid.shape[3]] = grid
    return _scaled(ball, delta)


def propose_l2(ball: Ball, current: Tensor, share: float, words: Tensor) -> Tensor:
    """A bump added to one square, paid for by clearing another one, scaled to norm eps."""
    channels, height, width = ball.x.shape[1:]
    size = max(round((share * height * width) ** 0.5), 3)
    size = min(size + 1 - size % 2, height, width)
    here, there = (_window(ball.x, size, words[:, i], words[:, i + 1]) for i in (0, 3))
    delta = current - ball.x
    unspent = (ball.radius**2 - l2_norm(delta).square()).clamp_min(0) / channels
    old = delta[here]
    delta[here] = 0
    other = delta[there]  # what the first square has not cleared already
    delta[there] = 0
    budget = (unspent + _energy(old) + _energy(other)).sqrt()
    upright, turned = _bump(size, ball.x), (words[:, 5] >> 31).bool()[:, None, None, None]
    bump = torch.where(turned, upright.T, upright) * _channel_signs(words[:, 2], ball.x)
    new = bump + old / (_energy(old).sqrt() + TINY)
    delta[here] = new * (budget / (_energy(new).sqrt() + TINY))
    return _scaled(ball, delta)


def _energy(window: Tensor) -> Tensor:
    """The sum of squares of each channel, [B, C, 1, 1]."""
    return window.square().sum((2, 3), keepdim=True)


def _scaled(ball: Ball, delta: Tensor) -> Tensor:
    return torch.clamp(ball.x + delta * (ball.radius / (l2_norm(delta) + TINY)), 0, 1)


def _corners(x: Tensor, size: int, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The first row and the first column [B, 1] of a random window that lies in the image."""
    height, width = x.shape[2:]
    return ((first * (height - size + 1)) >> 32)[:, None], ((second * (width - size + 1)) >> 32)[:, None]


def _window(x: Tensor, size: int, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """The indices of a random window in every image and channel, [B, C, size, size] in all."""
    top, left = _corners(x, size, first, second)
    along = torch.arange(size, device=x.device)
    sample, channel = torch.arange(len(x), device=x.device), torch.arange(x.shape[1], device=x.device)
    return (
        sample[:, None, None, None],
        channel[None, :, None, None],
        (top + along)[:, None, :, None],
        (left + along)[:, None, None, :],
    )


def _inside(length: int, corner: Tensor, size: int) -> Tensor:
    """1 inside a window, 0 outside, [B, length]: masks that are numbers multiply quicker than booleans select."""
    place = torch.arange(length, device=corner.device) - corner
    return ((place >= 0) & (place < size)).float()


def _signs(words: Tensor, x: Tensor) -> Tensor:
    """-1 or 1 by the highest bit of each word."""
    return (words >> 31).to(x.dtype) * 2 - 1


def _channel_signs(words: Tensor, x: Tensor) -> Tensor:
    """-1 or 1 for each channel [B, C, 1, 1], from the bits of one word a sample (channels beyond 32 repeat them)."""
    bits = torch.arange(x.shape[1], device=x.device) % 32
    return (((words[:, None] >> bits) & 1).to(x.dtype) * 2 - 1)[:, :, None, None]


def _bump(size: int, x: Tensor) -> Tensor:
    """Two pyramids of opposite sign, one above the other, of norm 1, [size, size] (ECCV 2020, section 3.4)."""
    upper = _pyramid(size // 2, size, x)
    lower = _pyramid(size - size // 2, size, x)
    bump = torch.cat([upper, -lower])
    return bump / bump.norm()


def _pyramid(height: int, width: int, x: Tensor) -> Tensor:
    """sum_{j >= d} 1 / (j + 1)^2 at Chebyshev distance d of the middle, of norm 1, [height, width]."""
    if not height:
        return x.new_zeros(0, width)
    down, across = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    distance = torch.maximum(down.abs()[:, None], across.abs()[None, :])
    steps = 1 / torch.arange(1, max(height // 2, width // 2) + 2, dtype=torch.float64).square()
    value = steps.flip(0).cumsum(0).flip(0)[distance]
    return (value / value.norm()).to(x)
