"""How sure the subnets of a network are: Guo, Stutz and Schiele, ECCV 2022, figure 1."""

from functools import partial

import torch
from torch import nn

from rbench.analysis.measured import WHOLE, Variant, check
from rbench.rng import Draws
from rbench.training.ews.choosing import at_random
from rbench.training.ews.subnets import block_widths, subnet_logits, subnet_of


def confidence(model: nn.Module, *, rho: float = 0.5, subnets: int = 50, seed: int = 0) -> list[Variant]:
    """The full network in evaluation mode, as `subnet` -1, and random subnets, 0, 1, ...

    Subnets keep `rho` of the paths and channels, all equally likely, and are normalised by the block of images that
    they see, as in training. Raises `UsageError` for a network without masks.
    """
    check(rho, subnets)
    widths, device = block_widths(model), next(model.parameters()).device
    variants = [Variant({"subnet": WHOLE}, model.eval())]
    for index in range(subnets):
        rng = Draws(seed, "analysis/confidence", torch.tensor([index]))
        mask = subnet_of(widths, at_random(widths, rho, rng, paths=True), device)
        variants.append(Variant({"subnet": index}, partial(subnet_logits, model, subnet=mask)))
    return variants
