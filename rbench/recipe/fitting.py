"""How weights are fitted: optimiser, learning rate by epoch, and which epoch is kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.recipe.ranges import at_least, attack_of_steps, below_one, positive
from rbench.types import STRICT, Threat


@dataclass(frozen=True)
class Optimiser:
    """Stochastic gradient descent, with `momentum` 0.9 unless given, or AdamW, which has its own.

    `clip` cuts the gradient to that norm. `decay_norms = false` spares tensors of one dimension the weight decay: what
    norms scale and shift by, and biases. `shares` gives parts of the network, by the beginnings of their parameters'
    names, that share of the learning rate: `shares = { router = 0.1 }`.
    """

    __pydantic_config__: ClassVar = STRICT
    lr: float
    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float | None = None
    weight_decay: float = 5e-4
    decay_norms: bool = True
    nesterov: bool = False
    clip: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive("optimiser", self, "lr", "clip")
        for part, share in self.shares.items():
            if not share > 0:
                raise UsageError(f"optimiser.shares.{part} = {share} must be greater than 0.")
        at_least(0, "optimiser.", self, "weight_decay")
        below_one("optimiser.", self, "momentum")
        if self.kind != "sgd" and (self.momentum is not None or self.nesterov):
            raise UsageError(f"optimiser.momentum and nesterov belong to kind = 'sgd'; {self.kind!r} has its own.")
        if self.nesterov and self.momentum == 0:
            raise UsageError("optimiser.nesterov looks ahead by the momentum, which must be greater than 0.")


@dataclass(frozen=True)
class Schedule:
    """The learning rate by epoch, counted from 0.

    In steps: from each of the `milestones` on it shrinks by `gamma`; or along half a cosine down to `to`. In the first
    `warmup` epochs it is (epoch + 1)/warmup of that; or else it rises from `warmup_from` in a straight line that would
    reach the highest rate in epoch `warmup`, where a cosine then starts.
    """

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    to: float = 0.0
    warmup: int = 0
    warmup_from: float | None = None

    def __post_init__(self) -> None:
        positive("schedule", self, "warmup_from")
        at_least(0, "schedule.", self, "gamma", "to")
        if self.warmup_from is not None and not self.warmup:
            raise UsageError("schedule.warmup_from is where a rise starts; give its length in schedule.warmup.")
        if self.kind == "steps" and self.to:
            raise UsageError("schedule.to is where a cosine ends; with kind = 'steps' there is none.")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise UsageError(f"schedule.milestones = {list(self.milestones)} must ascend.")
        if self.kind == "cosine" and self.milestones:
            raise UsageError("schedule.milestones belong to kind = 'steps'; a cosine has none.")

    def rate(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch of `epochs` in all, where `lr` is the highest."""
        if self.warmup_from is not None and epoch < self.warmup:
            return self.warmup_from + (lr - self.warmup_from) * epoch / self.warmup
        if self.kind == "cosine":
            first = self.warmup if self.warmup_from is not None else 0
            share = (1 + math.cos(math.pi * (epoch - first) / (epochs - first))) / 2
            rate = self.to + (lr - self.to) * share
        else:
            rate = lr * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)
        return rate * (epoch + 1) / self.warmup if epoch < self.warmup else rate


@dataclass(frozen=True)
class Selection:
    """The attack on held-out images that picks the best epoch; without a threat, clean accuracy picks it.

    With a threat it is the epoch of the highest robust accuracy or, `by = "w-robust"`, of the highest mean of clean and
    robust accuracy. `until` names another model of the catalog: training ends with the first epoch whose robust
    accuracy (clean without a threat) is that of the model on the same images, or less by up to `kappa` percentage
    points. Algorithm 1 of Andle, Craig, Nowak and Yasaei Sekeh, arXiv 2307.03803, which asks the test images instead.
    """

    __pydantic_config__: ClassVar = STRICT
    threat: Threat | None = None
    steps: int = 20
    rel_step: str = "1/4"
    by: Literal["robust", "w-robust"] = "robust"
    until: str | None = None
    kappa: float = 0.0

    def __post_init__(self) -> None:
        attack_of_steps("selection", self)
        if self.by != "robust" and self.threat is None:
            raise UsageError(f"selection.by = {self.by!r} needs a robust accuracy; give selection.threat.")
        at_least(0, "selection.", self, "kappa")
        if self.kappa and self.until is None:
            raise UsageError(f"selection.kappa = {self.kappa} is less than what? Name a model in selection.until.")
