"""Subnets of a residual network: which paths and channels they keep, and how they learn from the whole."""

import math
from collections.abc import Sequence
from inspect import signature

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.models.preact_resnet import BlockMask, Subnet
from rbench.training.modes import untracked

PATHS = 2  # a residual branch and a shortcut
Choice = tuple[Sequence[int], Sequence[int]]
"""The paths and the channels that are kept of one block; no channels where the residual branch is dropped."""


def block_widths(model: nn.Module) -> tuple[int, ...]:
    """The channels of every block that a mask may drop; raises `UsageError` if the network takes no masks."""
    if "subnet" not in signature(model.forward).parameters:
        raise UsageError(f"{type(model).__name__} takes no subnet masks; remove [ews] or choose a residual network.")
    return tuple(int(block.bn2.num_features) for block in model.blocks)  # type: ignore[union-attr]  # a ModuleList


def kept(rho: float, count: int) -> int:
    """ceil(rho count), where a product that is whole but for rounding counts as whole."""
    return max(1, math.ceil(rho * count - 1e-9))


def subnet_of(widths: Sequence[int], choices: Sequence[Choice], device: torch.device) -> Subnet:
    """One mask a block. A block without its residual branch has no channels to drop: its channel mask is all ones."""
    masks = []
    for width, (paths, channels) in zip(widths, choices, strict=True):
        path_mask, channel_mask = torch.zeros(PATHS), torch.zeros(width)
        path_mask[list(paths)] = 1
        channel_mask[list(channels) if len(channels) else slice(None)] = 1
        masks.append(BlockMask(path_mask.to(device), channel_mask.to(device)))
    return masks


def subnet_logits(model: nn.Module, x: Tensor, subnet: Subnet) -> Tensor:
    """Logits [B, classes] of a subnet, normalised by its own batch; the running statistics stay the full network's."""
    with untracked(model, training=True):
        logits: Tensor = model(x, subnet)
    return logits


def distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) in nats, averaged over the batch; only the student gets a gradient.

    Guo, Stutz and Schiele, ECCV 2022, equation 2, with the network's own softmax as the target.
    """
    target = F.log_softmax(teacher.detach(), dim=1)
    return F.kl_div(F.log_softmax(student, dim=1), target, reduction="batchmean", log_target=True)
