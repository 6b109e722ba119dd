"""Corruptions of colour: brightness and saturation in the HSV space, and contrast.

The authors compute in float64 and truncate to bytes, and many values are whole levels up to the last bit, which then
decides between two levels. So these functions take the same steps in float64 and truncate themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rbench.corruptions.randomness import Randomness

_PART = 2**19  # numbers that are worked on at once, so that float64 intermediates stay in a processor's cache


def brightness(x: Tensor, rng: Randomness, add: float) -> Tensor:  # noqa: ARG001
    """Images whose value in the HSV space is raised by `add`, at most to 1."""

    def brighter(part: Tensor) -> Tensor:
        colours = Colours.of(part)
        return colours.shown((colours.value + add).clamp_(0, 1), colours.saturation)

    return _in_parts(brighter, x)


def saturate(x: Tensor, rng: Randomness, factor: float, add: float) -> Tensor:  # noqa: ARG001
    """Images whose saturation in the HSV space is multiplied by `factor`, raised by `add` and clipped to [0, 1].

    Grey pixels have the hue of red, so that they turn red where `add` is positive.
    """

    def saturated(part: Tensor) -> Tensor:
        colours = Colours.of(part)
        return colours.shown(colours.value, (colours.saturation * factor).add_(add).clamp_(0, 1))

    return _in_parts(saturated, x)


def contrast(x: Tensor, rng: Randomness, factor: float) -> Tensor:  # noqa: ARG001
    """Images whose differences from the mean of their channel are multiplied by `factor`."""

    def flatter(part: Tensor) -> Tensor:
        exact = _fractions((part * 255).round_())
        mean = (_total(exact) / exact[0, 0].numel())[:, :, None, None]
        return _truncated(exact.sub_(mean).mul_(factor).add_(mean))

    return _in_parts(flatter, x)


@dataclass(frozen=True)
class Colours:
    """Pixels in the HSV space (Smith, "Color gamut transform pairs", SIGGRAPH 1978).

    `value`, `saturation` and `between` are float64 [B, H, W]; the last says how far the middle channel is from the
    largest to the smallest. `largest` and `smallest`, bool [B, 3, H, W], say which channels these are.
    """

    value: Tensor
    saturation: Tensor
    between: Tensor
    largest: Tensor
    smallest: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Colours":
        """The colours of images in multiples of 1/255, [B, 3, H, W]."""
        levels = (x * 255).round_()
        high, low = levels.amax(1), levels.amin(1)
        largest, smallest = levels == high[:, None], levels == low[:, None]
        # A grey pixel counts as red: its other channels are the smallest only.
        largest[:, 1:] &= ~smallest[:, 1:]
        smallest[:, 0] &= ~largest[:, 0]
        value = _fractions(high)
        spread = value - _fractions(low)
        saturation = (spread / value).nan_to_num_(0)
        return cls(value, saturation, _between(levels, spread, largest), largest, smallest)

    def shown(self, value: Tensor, saturation: Tensor) -> Tensor:
        """Images, float32 [B, 3, H, W] in multiples of 1/255, of these hues with another value and saturation."""
        middle = _truncated((1 - self.between * saturation).mul_(value))
        low = _truncated((1 - saturation).mul_(value))
        shown = torch.where(self.smallest, low[:, None], middle[:, None])
        return torch.where(self.largest, _truncated(value)[:, None], shown)


def _between(levels: Tensor, spread: Tensor, largest: Tensor) -> Tensor:
    """How far hues are into their sixth of the circle, f, in the odd sixths; 1 - f in the even ones."""
    red, green, blue = levels.unbind(1)
    _, second, third = largest.unbind(1)
    # Where two channels are largest, the later one counts.
    plus = torch.where(third, red, torch.where(second, blue, green))
    minus = torch.where(third, green, torch.where(second, red, blue))
    hue = _fractions(plus).sub_(_fractions(minus)).div_(spread).nan_to_num_(0)
    hue.add_(second & ~third, alpha=2).add_(third, alpha=4).div_(6)
    sixths = hue.add_(hue < 0).mul_(6)
    sector = sixths.floor()
    part = sixths.sub_(sector)
    return torch.where(sector.remainder_(2) == 1, part, 1 - part)


def _in_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.device.type != "cpu" or x.numel() <= _PART:
        return function(x)
    return torch.cat([function(part) for part in x.split(max(1, _PART // x[0].numel()))])


def _total(y: Tensor) -> Tensor:
    """The sums over the pixels of y [B, C, H, W], added up one after the other as numpy does for the authors."""
    flat = y.flatten(2)
    # CUDA adds in this order along outer axes only. The order matters: the last bit of a mean decides many a level.
    return flat.cumsum(2)[..., -1] if y.device.type == "cpu" else flat.mT.contiguous().cumsum(1)[:, -1]


def _fractions(levels: Tensor) -> Tensor:
    """Levels 0, ..., 255 as float64 in [0, 1]."""
    return levels.double().div_(255)


def _truncated(y: Tensor) -> Tensor:
    """Numbers, float64, clipped to [0, 1] and truncated to multiples of 1/255, float32."""
    return (y.clamp(0, 1) * 255).floor_().float().div_(255)
