"""Masks by which a residual network runs as one of its subnets (Guo, Stutz and Schiele, ECCV 2022).

A network that can lists its residual blocks as `blocks` and takes `forward(x, subnet=None)`. Each block has `width`
channels inside its residual branch that a mask may drop, `filters`, the weights [width, ...] that make them, and takes
`forward(x, mask=None)`. Nothing is scaled up to make good for what is dropped, as in the authors' program.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class BlockMask(NamedTuple):
    """What a subnet keeps of a block: `paths` is [2] (residual, shortcut), `channels` [width]; all in {0, 1}."""

    paths: Tensor
    channels: Tensor

    def inner(self, h: Tensor) -> Tensor:
        """Features [B, width, H, W] inside the residual branch without those that are dropped."""
        return h * self.channels.view(1, -1, 1, 1).to(h.dtype)

    def join(self, residual: Tensor, shortcut: Tensor) -> Tensor:
        """The sum of the paths that are kept."""
        return residual * self.paths[0] + shortcut * self.paths[1]


Subnet = Sequence[BlockMask]
"""One mask for each block, in the order of the network's `blocks`."""
