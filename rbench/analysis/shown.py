"""The images that analyses show: clean, corrupted and adversarial ones, in blocks that never change."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.corruptions.corrupt import corrupt
from rbench.datasets import Dataset
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.types import IntArray, Threat

BLOCK = 100  # images that subnets are normalised by: a part of the protocol, not a matter of memory
STEPS = 20
Shown = dict[str, list[tuple[Tensor, Tensor]]]
"""Blocks of images [b, C, H, W] with labels [b], by condition: clean, corrupted and, under a threat, adversarial."""


def show(
    model: nn.Module, dataset: Dataset, threat: Threat | None, limit: int, corruption: str, severity: int
) -> Shown:
    """The first `limit` images of a dataset: clean, corrupted, and attacked by PGD-20 under a threat.

    The attack is on the whole network in evaluation mode, and what subnets see is transferred from it, as in the
    training of EWS. Blocks have `BLOCK` images; a last one of fewer is left out, unless it is the only one, lest few
    images be normalised by themselves. Raises `UsageError` for fewer than two images.
    """
    device = next(model.parameters()).device
    shown: Shown = {"clean": [], "corrupted": [], **({} if threat is None else {"adversarial": []})}
    for ids in blocks(min(limit, len(dataset.labels))):
        x, y = load_images(dataset, ids, device)
        altered = corrupt(x.cpu(), corruption, severity=severity, samples=ids.tolist())
        shown["clean"].append((x, y))
        shown["corrupted"].append((altered.to(device), y))
        if threat is not None:
            rng = Draws(0, "analysis/pgd", torch.from_numpy(ids).to(device))
            shown["adversarial"].append((pgd(model.eval(), x, y, threat, rng=rng, steps=STEPS, stop=False), y))
    return shown


def blocks(count: int) -> Iterator[IntArray]:
    """The samples of each block, of `count` that there are."""
    if count < 2:
        raise UsageError(f"subnets are normalised by a block of images; {count} is no block. Ask for 2 or more.")
    for start in range(0, count if count < BLOCK else count - count % BLOCK, BLOCK):
        yield np.arange(start, min(start + BLOCK, count))
