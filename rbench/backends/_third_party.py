"""Attacks of other packages: seeded under a fork of the global randomness, run block by block, and marked so."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rbench.rng import Draws
from rbench.types import Threat

Attack = Callable[..., Tensor]


def third_party(package: str) -> Callable[[Attack], Attack]:
    """Mark an attack as another package's: its results depend on who shares a batch, so blocks stay whole."""

    def mark(attack: Attack) -> Attack:
        @functools.wraps(attack)
        def seeded(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, *, rng: Draws, **params: Any) -> Tensor:
            with torch.random.fork_rng():
                torch.manual_seed(rng.integer())
                return attack(model, x, y, threat, rng=rng, **params)

        seeded.third_party = package  # type: ignore[attr-defined]  # read by the engine
        return seeded

    return mark
