"""Masks by which a residual network runs as one of its subnets (Guo, Stutz and Schiele, ECCV 2022).

A network that can lists its residual blocks as `blocks` and takes `forward(x, subnet=None)`. Each block has `width`
channels inside its residual branch that a mask may drop, `filters`, the weights [width, ...] that make them, and takes
`forward(x, mask=None)`. Nothing is scaled up to make good for what is dropped, as in the authors' program.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class BlockMask(NamedTuple):
    """What a subnet keeps of a block: `paths` is [2] (residual, shortcut), `channels` [width]; all in {0, 1}.

    `residual` is false where the residual branch is known to be dropped without asking the device: it is not computed.
    """

    paths: Tensor
    channels: Tensor
    residual: bool = True

    def inner(self, h: Tensor) -> Tensor:
        """Features [B, width, H, W] inside the residual branch without those that are dropped."""
        return h * self.channels.view(1, -1, 1, 1).to(h.dtype)

    def join(self, residual: Tensor | None, shortcut: Tensor) -> Tensor:
        """The sum of the paths that are kept; None stands for a residual branch that was not computed."""
        kept = shortcut * self.paths[1]
        return kept if residual is None else residual * self.paths[0] + kept


Subnet = Sequence[BlockMask]
"""One mask for each block, in the order of the network's `blocks`."""


def needs_residual(mask: BlockMask | None) -> bool:
    """Whether a block has to compute its residual branch."""
    return mask is None or mask.residual


def joined(residual: Tensor | None, shortcut: Tensor, dropout: nn.Module | None, mask: BlockMask | None) -> Tensor:
    """The sum of both paths, None standing for a residual branch that was not computed.

    A subnet masks them as they are (the shortcut after its batch norm) and drops nothing else: the authors of EWS turn
    dropout off in subnets, too.
    """
    if mask is not None:
        return mask.join(residual, shortcut)
    if residual is None:
        return shortcut
    return (residual if dropout is None else dropout(residual)) + shortcut
