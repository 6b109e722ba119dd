"""Corruptions of colour: brightness and saturation in the HSV space, and contrast.

The authors compute in float64 and truncate to bytes, and many values are whole levels up to the last bit, which then
decides between two levels. So these functions take the same steps in float64 and truncate themselves.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rbench.corruptions.parts import in_parts
from rbench.corruptions.randomness import Randomness


def brightness(x: Tensor, rng: Randomness, add: float) -> Tensor:  # noqa: ARG001
    """Images whose value in the HSV space is raised by `add`, at most to 1."""

    def brighter(part: Tensor) -> Tensor:
        colours = Colours.of(part)
        return colours.shown((colours.value + add).clamp_(0, 1), colours.saturation)

    return in_parts(brighter, x)


def saturate(x: Tensor, rng: Randomness, factor: float, add: float) -> Tensor:  # noqa: ARG001
    """Images whose saturation in the HSV space is multiplied by `factor`, raised by `add` and clipped to [0, 1].

    Grey pixels have the hue of red, so that they turn red where `add` is positive.
    """

    def saturated(part: Tensor) -> Tensor:
        colours = Colours.of(part)
        return colours.shown(colours.value, (colours.saturation * factor).add_(add).clamp_(0, 1))

    return in_parts(saturated, x)


def contrast(x: Tensor, rng: Randomness, factor: float) -> Tensor:  # noqa: ARG001
    """Images whose differences from the mean of their channel are multiplied by `factor`."""

    def flatter(part: Tensor) -> Tensor:
        exact = _fractions((part * 255).round_())
        mean = (_total(exact) / exact[0, 0].numel())[:, :, None, None]
        return _levels(exact.sub_(mean).mul_(factor).add_(mean)).div_(255)

    return in_parts(flatter, x)


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
        middle = _levels((1 - self.between * saturation).mul_(value))
        low = _levels((1 - saturation).mul_(value)).sub_(middle)
        high = _levels(value).sub_(middle)
        # Sums of whole levels: on a CPU several times as fast as `torch.where`, and as exact.
        shown = torch.addcmul(middle[:, None], self.smallest.float(), low[:, None])
        return shown.addcmul_(self.largest.float(), high[:, None]).div_(255)


def _between(levels: Tensor, spread: Tensor, largest: Tensor) -> Tensor:
    """How far hues are into their sixth of the circle, f, in the odd sixths; 1 - f in the even ones."""
    red, green, blue = levels.unbind(1)
    _, second, third = largest.unbind(1)
    # Where two channels are largest, the later one counts.
    second, third = (second & ~third).float(), third.float()
    first = (1 - second).sub_(third)
    plus = (first * green).addcmul_(second, blue).addcmul_(third, red)
    minus = (first * blue).addcmul_(second, red).addcmul_(third, green)
    hue = _fractions(plus).sub_(_fractions(minus)).div_(spread).nan_to_num_(0)
    hue.add_(second, alpha=2).add_(third, alpha=4).div_(6)
    sixths = hue.add_(hue < 0).mul_(6)
    sector = sixths.floor()
    part = sixths.sub_(sector)
    odd = sector.remainder_(2)
    return part.mul_(odd.mul(2).sub_(1)).add_(1).sub_(odd)


def _total(y: Tensor) -> Tensor:
    """The sums over the pixels of y [B, C, H, W], added up one after the other as numpy does for the authors."""
    flat = y.flatten(2)
    # CUDA adds in this order along outer axes only. The order matters: the last bit of a mean decides many a level.
    return flat.cumsum(2)[..., -1] if y.device.type == "cpu" else flat.mT.contiguous().cumsum(1)[:, -1]


def _fractions(levels: Tensor) -> Tensor:
    """Levels 0, ..., 255 as float64 in [0, 1]."""
    return levels.double().div_(255)


def _levels(y: Tensor) -> Tensor:
    """Numbers, float64, clipped to [0, 1] and truncated to levels 0, ..., 255, float32."""
    return (y.clamp(0, 1) * 255).floor_().float()
