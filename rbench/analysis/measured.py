"""Networks that are made of a model, and what they make of the images that they are shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rbench.analysis.shown import Shown
from rbench.errors import UsageError

WHOLE = -1  # the number of the subnet, or of the reduced block, where there is none


def check(rho: float, subnets: int) -> None:
    """Refuse subnets of no paths and channels, and none at all; raises `UsageError`."""
    if not 0 < rho <= 1:
        raise UsageError(f"rho = {rho} must be greater than 0 and at most 1.")
    if subnets < 1:
        raise UsageError(f"subnets = {subnets} must be at least 1.")


Blocks = Sequence[tuple[Tensor, Tensor]]


class Variant(NamedTuple):
    """A network, images [B, C, H, W] to logits [B, K], and the labels that tell it from others.

    `measure(condition, blocks)` is what is asked about it, by default `means`.
    """

    labels: Mapping[str, str | int | float]
    network: Callable[[Tensor], Tensor]
    measure: Callable[[str, Blocks], Mapping[str, str | float]] | None = None


def measured(variants: Sequence[Variant], shown: Shown) -> Iterator[dict[str, str | int | float]]:
    """What is asked about each network under each condition, row by row."""
    for labels, network, measure in variants:
        for condition, blocks in shown.items():
            found = means(network, blocks) if measure is None else measure(condition, blocks)
            yield {**labels, "condition": condition, **found}


@torch.no_grad()
def means(network: Callable[[Tensor], Tensor], blocks: Blocks) -> dict[str, float]:
    """The mean confidence in the true class and the error."""
    sums = torch.zeros(3, dtype=torch.float64)
    for x, y in blocks:
        p = torch.softmax(network(x), dim=1)
        sums += torch.tensor([p.gather(1, y[:, None]).sum(), (p.argmax(1) != y).sum(), len(y)], dtype=torch.float64)
    confidence, wrong, count = sums.tolist()
    return {"confidence": confidence / count, "error": wrong / count}
