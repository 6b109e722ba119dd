"""Which blocks a network cannot do without: Guo, Stutz and Schiele, ECCV 2022, figure 7."""

from functools import partial

import torch
from torch import nn

from rbench.analysis.measured import WHOLE, Variant, check
from rbench.rng import Draws
from rbench.training.ews.choosing import at_random
from rbench.training.ews.subnets import PATHS, Choice, block_widths, subnet_logits, subnet_of


def blocks(model: nn.Module, *, rho: float = 0.5, subnets: int = 20, seed: int = 0) -> list[Variant]:
    """The network as a whole, as `block` -1, and with one block reduced to `rho` of its paths and channels.

    What is kept of the block is drawn `subnets` times, all equally likely; the other blocks stay whole. Every network
    is normalised by the block of images that it sees, as in training. Raises `UsageError` for a network without masks.
    """
    check(rho, subnets)
    widths, device = block_widths(model), next(model.parameters()).device
    whole: list[Choice] = [(range(PATHS), range(width)) for width in widths]

    def variant(block: int, index: int, choices: list[Choice]) -> Variant:
        mask = subnet_of(widths, choices, device)
        return Variant({"block": block, "subnet": index}, partial(subnet_logits, model, subnet=mask))

    variants = [variant(WHOLE, 0, whole)]
    for block, width in enumerate(widths):
        for index in range(subnets):
            rng = Draws(seed, f"analysis/blocks/{block}", torch.tensor([index]))
            (reduced,) = at_random([width], rho, rng, paths=True)
            variants.append(variant(block, index, [*whole[:block], reduced, *whole[block + 1 :]]))
    return variants
