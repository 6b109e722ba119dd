"""Subnets of a residual network: which paths and channels they keep, and how they learn from the whole."""

import math
from collections.abc import Sequence
from inspect import signature

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.models.masks import BlockMask, Subnet
from rbench.recipe import Ews
from rbench.training.modes import untracked, widened
from rbench.training.objectives import divergence

PATHS = 2  # a residual branch and a shortcut
RESIDUAL = 0  # the place of the former
Choice = tuple[Sequence[int], Sequence[int]]
"""The paths and the channels that are kept of one block; no channels where the residual branch is dropped."""


def block_widths(model: nn.Module) -> tuple[int, ...]:
    """The channels of every block that a mask may drop; raises `UsageError` if the network takes no masks."""
    if "subnet" not in signature(model.forward).parameters:
        raise UsageError(f"{type(model).__name__} takes no subnet masks; remove [ews] or choose a residual network.")
    return tuple(int(block.width) for block in model.blocks)  # type: ignore[union-attr]  # see rbench.models.masks


def kept(rho: float, count: int) -> int:
    """ceil(rho count), where a product that is whole but for rounding counts as whole."""
    return max(1, math.ceil(rho * count - 1e-9))


def subnet_of(widths: Sequence[int], choices: Sequence[Choice], device: torch.device) -> Subnet:
    """One mask a block. A block without its residual branch has no channels to drop: its channel mask is all ones.

    All masks travel to the device as one tensor.
    """
    sizes = [size for width in widths for size in (PATHS, width)]
    masks = torch.zeros(sum(sizes))
    parts = masks.split(sizes)
    for index, (paths, channels) in enumerate(choices):
        parts[2 * index][list(paths)] = 1
        parts[2 * index + 1][list(channels) if len(channels) else slice(None)] = 1
    moved = masks.to(device, non_blocking=True).split(sizes)
    residual = [RESIDUAL in paths for paths, _ in choices]
    return [BlockMask(*each) for each in zip(moved[::2], moved[1::2], residual, strict=True)]


def subnet_logits(model: nn.Module, x: Tensor, subnet: Subnet) -> Tensor:
    """Logits [B, classes] of a subnet, normalised by its own batch; the running statistics stay the full network's."""
    with untracked(model, training=True):
        return widened(model(x, subnet))


def subnet_loss(ews: Ews, teacher: Tensor, student: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Lam KL(f(x) || subnet(x)), of whose two sides only the subnet gets a gradient, or lam CE(subnet(x), y).

    The divergence is averaged over the batch and, if `ews.kl` says so, over classes. Guo, Stutz and Schiele, ECCV 2022,
    equation 2, with the network's own softmax as the target, and table A.
    """
    if ews.loss == "ce":
        return ews.lam * F.cross_entropy(student, y, label_smoothing=smoothing)
    classes = student.shape[1] if ews.kl == "mean" else 1
    return ews.lam * divergence(teacher.detach(), student) / classes
