"""A model that is asked about a few images at a time, for want of memory."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Parted(nn.Module):
    """A model, from images [B, C, H, W] to logits [B, K], that sees at most `size` images at once.

    Where a gradient is asked for, parts are computed once more on the way back, so that no more than one is held.
    """

    def __init__(self, inner: nn.Module, size: int) -> None:
        super().__init__()
        self.inner, self.size, self.training = inner, size, inner.training

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        if len(x) <= self.size:
            return self.inner(x)
        wanted = torch.is_grad_enabled() and x.requires_grad
        ask: Callable[[Tensor], Tensor] = partial(checkpoint, self.inner, use_reentrant=False) if wanted else self.inner
        return torch.cat([ask(part) for part in x.split(self.size)])
