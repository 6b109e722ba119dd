"""Everything that one training works with."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from rbench.catalog import Catalog, bind
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
from rbench.training.teachers import Teacher, teachers_of
from rbench.types import IntArray, ModelCard

MOMENTUM = 0.9
READ_BY_OBJECTIVES = ("attack", "augmix")  # tables of a recipe that do nothing unless its objective reads them


@dataclass(frozen=True)
class Setting:
    """Everything that one training works with; `model`, `optimiser`, `enhancer` and the objective's memory change.

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
    teachers: tuple[Teacher, ...] = ()

    @property
    def taught_by(self) -> dict[str, str]:
        """The digests of the teachers, by name."""
        return {teacher.name: teacher.digest for teacher in self.teachers}

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
        return replace(self, objective=standard(recipe=self.recipe), teachers=())

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
    catalog: Catalog | None = None,
    rehearsal: bool = False,
) -> Setting:
    """Resolve everything that card and recipe name, with the weights of a fresh network drawn from `seed`.

    `start` are the weights to start from, in the order of the recipe's; none for a dry run. `data` is used in the
    place of the recipe's own. Teachers are models of `catalog`; in a `rehearsal` those whose weights are missing are
    not trained. Raises `UsageError` for parts that do not go together, and `MissingError` for teachers without weights.
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
    teachers = teachers_of(objective.teachers, catalog, card.dataset, data, where, rehearsal=rehearsal)
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
        recipe, seed, data, fitted, held_out, searched, where, model, optimiser, objective, enhancer, ranks, accumulate,
        teachers,
    )  # fmt: skip


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


def held_out_of(recipe: Recipe) -> tuple[Dataset, IntArray]:
    """The training split that a recipe names, and the ids of the images that it holds out."""
    data = bind(recipe.data, given=["split"])(split="train")
    return data, _held_out(data, recipe.holdout)[0]


def _held_out(data: Dataset, count: int) -> tuple[IntArray, IntArray]:
    """The ids of `count` held-out images and of those to be fitted, which hold no altered copy of the former."""
    origins = origins_of(data)
    originals = np.unique(origins)
    held_out, _ = stratified(data.labels, originals, count, "train/holdout")
    return held_out, np.flatnonzero(~np.isin(origins, held_out))


def _optimiser(model: nn.Module, chosen: Optimiser) -> torch.optim.Optimizer:
    groups = _groups(model, chosen)
    if chosen.kind == "adamw":
        return torch.optim.AdamW(groups, lr=chosen.lr, weight_decay=chosen.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=chosen.lr,
        momentum=MOMENTUM if chosen.momentum is None else chosen.momentum,
        weight_decay=chosen.weight_decay,
        nesterov=chosen.nesterov,
    )


def _groups(model: nn.Module, chosen: Optimiser) -> list[dict[str, Any]]:
    """The parameters, apart by their share of the learning rate and by whether their weights decay."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for prefix in chosen.shares:
        if not any(_begins(name, prefix) for name, _ in named):
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name, _ in named))
            raise UsageError(f"optimiser.shares: no parameter's name begins with {prefix!r}; there are {parts}.")
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    if not chosen.shares:
        groups[1.0, False] = []  # always the first one, so that states of trainings keep their order
    for name, parameter in named:
        share = chosen.shares[max(found, key=len)] if (found := [p for p in chosen.shares if _begins(name, p)]) else 1.0
        bare = not chosen.decay_norms and parameter.dim() <= 1
        groups.setdefault((share, bare), []).append(parameter)
    return [
        {"params": own, "share": share, **({"weight_decay": 0.0} if bare else {})}
        for (share, bare), own in groups.items()
    ]


def _begins(name: str, prefix: str) -> bool:
    """Whether a parameter belongs to the part of the network of that name."""
    return name == prefix or name.startswith(f"{prefix}.")
