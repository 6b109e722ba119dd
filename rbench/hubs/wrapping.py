"""What every model of a collection is wrapped in, so that attacks see images in [0, 1] of the suite's own size."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rbench.models.normalise import Normalise

MODES = ("bilinear", "bicubic")


class Resize(nn.Module):
    """Scales images [B, C, H, W] in [0, 1] to a height and width, where they have others; gradients pass."""

    def __init__(self, size: Sequence[int], mode: str) -> None:
        super().__init__()
        self.size, self.mode = tuple(size), mode if mode in MODES else MODES[0]

    def forward(self, x: Tensor) -> Tensor:
        """The scaled images, in [0, 1] as those of Pillow are: bicubic sums overshoot."""
        if tuple(x.shape[-2:]) == self.size:
            return x
        return F.interpolate(x, self.size, mode=self.mode, align_corners=False, antialias=True).clamp(0, 1)


class Wrapped(nn.Sequential):
    """A model of a collection as a function of images in [0, 1]; `provenance` says where it comes from."""

    provenance: Mapping[str, Any]

    def __init__(self, net: nn.Module, provenance: Mapping[str, Any], *before: tuple[str, nn.Module]) -> None:
        super().__init__(OrderedDict([*before, ("net", net)]))
        self.provenance = dict(provenance)


def wrapped(
    net: nn.Module,
    provenance: Mapping[str, Any],
    *,
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    mode: str = MODES[0],
) -> Wrapped:
    """A model that wants standardised images of `size` (height, width), behind layers that make them."""
    told = {"size": list(size), "mean": list(mean), "std": list(std), "interpolation": mode}
    return Wrapped(net, {**provenance, **told}, ("resize", Resize(size, mode)), ("normalise", Normalise(mean, std)))


def standardised(net: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None) -> nn.Module:
    """A network behind the standardisation of its images, or as it is unless both are given."""
    if mean is None or std is None:
        return net
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std), net=net))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """What a function builds from the random numbers of seed 0, the same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()
