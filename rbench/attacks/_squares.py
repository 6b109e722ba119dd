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
    rows, columns = _offsets(ball.x, size, words[:, 0], words[:, 1])
    push = _inside(rows)[:, None, :, None] * (_channel_signs(words[:, 2], ball.x) * (2 * ball.radius))
    return ball.project(torch.addcmul(current, push, _inside(columns)[:, None, None, :]))


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
    rows, columns = _offsets(ball.x, size, words[:, 0], words[:, 1])
    here = _inside(rows)[:, None, :, None] * _inside(columns)[:, None, None, :]
    other = [_inside(place) for place in _offsets(ball.x, size, words[:, 3], words[:, 4])]
    either = here.maximum(other[0][:, None, :, None] * other[1][:, None, None, :])
    delta = current - ball.x
    squared = delta.square()
    budget = (ball.radius**2 - squared.flatten(1).sum(1).view(-1, 1, 1, 1)).clamp_min(0) / channels
    budget = (budget + (squared * either).sum((2, 3), keepdim=True)).sqrt()
    upright, turned = _bump(size, ball.x), words[:, 5] >> 31
    places = rows.clamp_min(0)[:, :, None], columns.clamp_min(0)[:, None, :]
    bump = torch.stack([upright, upright.T])[turned[:, None, None], *places][:, None] * here
    old = delta * here
    new = bump * _channel_signs(words[:, 2], ball.x) + old / (old.square().sum((2, 3), keepdim=True).sqrt() + TINY)
    new = new * (budget / (new.square().sum((2, 3), keepdim=True).sqrt() + TINY))
    return _scaled(ball, torch.addcmul(new, delta, 1 - either))


def _scaled(ball: Ball, delta: Tensor) -> Tensor:
    return torch.clamp(ball.x + delta * (ball.radius / (l2_norm(delta) + TINY)), 0, 1)


def _offsets(x: Tensor, size: int, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """For each row [B, H] and column [B, W] its place 0..size-1 in a random window, -1 outside."""
    found = []
    for length, words in ((x.shape[2], first), (x.shape[3], second)):
        corner = (words * (length - size + 1)) >> 32
        place = torch.arange(length, device=x.device) - corner[:, None]
        found.append(torch.where((place >= 0) & (place < size), place, -1))
    return found[0], found[1]


def _inside(place: Tensor) -> Tensor:
    """1 inside a window, 0 outside: masks that are numbers multiply quicker than booleans select."""
    return (place >= 0).float()


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
