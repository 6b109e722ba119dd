"""Choosing the paths and channels of subnets without a controller."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rbench.rng import Draws
from rbench.training.ews.subnets import PATHS, Choice, kept


def choose(logits: Tensor, count: int, rng: Draws, draw: int) -> tuple[list[int], Tensor]:
    """`count` of the items of `logits` [n] without replacement, ascending, and their log softmax [count].

    Items race with exponential times of rate p: the first `count` to arrive are distributed as successive draws without
    replacement (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
    """
    logs = torch.log_softmax(logits, dim=0)
    rates = logs.detach().exp() + 1e-6
    times = -torch.log(1 - rng.uniform(logits.shape, draw=draw)[0]) / rates
    chosen = torch.sort(torch.topk(times, count, largest=False).indices).values
    return chosen.tolist(), logs[chosen]


def at_random(widths: Sequence[int], rho: float, rng: Draws, *, paths: bool) -> list[Choice]:
    """Any subnet, all equally likely: the baseline of Guo, Stutz and Schiele, ECCV 2022, table 5."""
    choices: list[Choice] = []
    for block, width in enumerate(widths):
        taken = some_paths(rho, rng, 2 * block, paths=paths)
        channels = choose(torch.zeros(width), kept(rho, width), rng, 2 * block + 1)[0] if 0 in taken else []
        choices.append((taken, channels))
    return choices


def by_norm(model: nn.Module, rho: float, rng: Draws, *, paths: bool) -> list[Choice]:
    """The subnet of the channels whose filters have the least L1 norm; a second baseline of table 5.

    The norm is the criterion by which Li et al., "Pruning filters for efficient ConvNets", ICLR 2017, call filters
    weak. The paper of EWS does not say more than "L1-norm": that least norms are kept, and that paths, which have none
    to compare, are taken at random, is our reading.
    """
    norms = [block.filters.detach().abs().flatten(1).sum(1) for block in model.blocks]  # type: ignore[union-attr]
    choices: list[Choice] = []
    for block, norm in enumerate(torch.cat(norms).cpu().split([len(norm) for norm in norms])):
        taken = some_paths(rho, rng, 2 * block, paths=paths)
        weakest = torch.topk(norm, kept(rho, len(norm)), largest=False).indices.sort().values.tolist()
        choices.append((taken, weakest if 0 in taken else []))
    return choices


def some_paths(rho: float, rng: Draws, draw: int, *, paths: bool) -> list[int]:
    """The paths of a block, all if `paths` is false."""
    return choose(torch.zeros(PATHS), kept(rho, PATHS), rng, draw)[0] if paths else list(range(PATHS))
