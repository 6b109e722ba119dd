"""Everything that one training works with."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from rbench.catalog import bind
from rbench.datasets import Dataset
from rbench.errors import UsageError
from rbench.recipe import Optimiser, Recipe
from rbench.rng import seed_of, seeded
from rbench.training.batches import fetch, origins_of, split, stratified
from rbench.training.ews.search import Enhancer
from rbench.training.objectives import Objective, standard
from rbench.training.ranks import ALONE, Ranks
from rbench.training.start import begin
from rbench.training.state import Weights
from rbench.types import IntArray, ModelCard

MOMENTUM = 0.9
READ_BY_OBJECTIVES = ("attack", "augmix")  # tables of a recipe that do nothing unless its objective reads them


@dataclass(frozen=True)
class Setting:
    """Everything that one training works with; `model`, `optimiser` and `enhancer` change as it goes.

    A batch is shared by all `ranks`, and by each in `accumulate` parts, which batch norm normalises one by one.
    """

    recipe: Recipe
    seed: int
    data: Dataset
    fitted: IntArray
    held_out: IntArray
    searched: IntArray
    device: torch.device
    model: nn.Module
    optimiser: torch.optim.Optimizer
    objective: Objective
    enhancer: Enhancer | None
    ranks: Ranks = ALONE
    accumulate: int = 1

    def cast(self) -> torch.autocast:
        """The context in which the network runs: mixed precision if the recipe says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def seeded(self, *words: str | int) -> AbstractContextManager[None]:
        """The context in which the network may draw, for dropout: the same after an interruption, by rank another."""
        own = words if self.ranks.first else (*words, self.ranks.rank)
        return seeded(seed_of(self.seed, *own), self.device)

    def at(self, epoch: int) -> "Setting":
        """The setting of an epoch: in those before the inner attack's first one the objective sees clean images."""
        attack = self.recipe.attack
        if attack is None or epoch >= attack.warmup:
            return self
        return replace(self, objective=standard(recipe=self.recipe))

    def parts(self, ids: IntArray) -> list[IntArray]:
        """What this rank does of a batch, part by part; none of them is empty."""
        parts = np.array_split(ids, self.ranks.world * self.accumulate)
        own = parts[self.ranks.rank * self.accumulate : (self.ranks.rank + 1) * self.accumulate]
        return [part for part in own if len(part)]

    @property
    def batches(self) -> int:
        """The number of steps of an epoch."""
        return len(split(self.fitted, self.recipe.batch))


def prepare(
    card: ModelCard,
    recipe: Recipe,
    seed: int,
    device: torch.device | None = None,
    *,
    data: Dataset | None = None,
    ranks: Ranks = ALONE,
    accumulate: int = 1,
    start: Sequence[Weights] = (),
) -> Setting:
    """Resolve everything that card and recipe name, with the weights of a fresh network drawn from `seed`.

    `start` are the weights to start from, in the order of the recipe's; none for a dry run. `data` is used in the
    place of the recipe's own. Raises `UsageError` for parts that do not go together.
    """
    where = device or torch.device("cpu")
    objective = _objective(recipe)
    build = bind(card.arch)
    if accumulate < 1 or accumulate * ranks.world > recipe.batch:
        raise UsageError(
            f"a batch of {recipe.batch} cannot be split in {accumulate} parts on each of {ranks.world} ranks; "
            f"choose a number from 1 to {max(recipe.batch // ranks.world, 1)}."
        )
    data = data or bind(recipe.data, given=["split"])(split="train")
    held_out, fitted = _held_out(data, recipe.holdout)
    with seeded(seed, where):  # an architecture draws its weights from the global generator
        model: nn.Module = build().to(where)
    if where.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    if recipe.start is not None:
        begin(model, recipe, start, fetch(data, fitted[:1]).x.to(where))
    optimiser = _optimiser(model, recipe.optimiser)
    enhancer, searched = None, fitted[:0]
    if recipe.ews is not None:
        enhancer = Enhancer(model, recipe.ews, seed)
        count = max(1, round(recipe.ews.subset * len(fitted)))
        searched = fitted if count == len(fitted) else stratified(data.labels, fitted, count, "train/searched")[0]
    return Setting(
        recipe, seed, data, fitted, held_out, searched, where, model, optimiser, objective, enhancer, ranks, accumulate
    )


def _objective(recipe: Recipe) -> Objective:
    """The objective of a recipe; raises `UsageError` if it does not read a table that is there to be read."""
    objective: Objective = bind(recipe.objective, given=["recipe"])(recipe=recipe)
    for table in READ_BY_OBJECTIVES:
        if getattr(recipe, table) is not None and table not in objective.uses:
            raise UsageError(
                f"recipe {recipe.name!r} has a table [{table}], which its objective {recipe.objective.use} does not "
                f"read; remove it, or choose another objective."
            )
    return objective


def _held_out(data: Dataset, count: int) -> tuple[IntArray, IntArray]:
    """The ids of `count` held-out images and of those to be fitted, which hold no altered copy of the former."""
    origins = origins_of(data)
    originals = np.unique(origins)
    held_out, _ = stratified(data.labels, originals, count, "train/holdout")
    return held_out, np.flatnonzero(~np.isin(origins, held_out))


def _optimiser(model: nn.Module, chosen: Optimiser) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if not chosen.decay_norms:
        flat = [parameter for parameter in parameters if parameter.dim() <= 1]
        groups = [
            {"params": [parameter for parameter in parameters if parameter.dim() > 1]},
            {"params": flat, "weight_decay": 0.0},
        ]
    if chosen.kind == "adamw":
        return torch.optim.AdamW(groups, lr=chosen.lr, weight_decay=chosen.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=chosen.lr,
        momentum=MOMENTUM if chosen.momentum is None else chosen.momentum,
        weight_decay=chosen.weight_decay,
        nesterov=chosen.nesterov,
    )
