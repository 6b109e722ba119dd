"""Everything that one training works with."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rbench.catalog import bind
from rbench.datasets import Dataset
from rbench.recipe import Recipe
from rbench.training.batches import stratified
from rbench.training.ews.search import Enhancer
from rbench.training.objectives import Objective
from rbench.types import IntArray, ModelCard


@dataclass(frozen=True)
class Setting:
    """Everything that one training works with; `model`, `optimiser` and `enhancer` change as it goes."""

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


def prepare(card: ModelCard, recipe: Recipe, seed: int, device: str | None = None) -> Setting:
    """Resolve everything that card and recipe name, with the weights of a fresh network drawn from `seed`."""
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    objective = bind(recipe.objective, given=["recipe"])(recipe=recipe)
    build = bind(card.arch)
    data: Dataset = bind(recipe.data, given=["split"])(split="train")
    held_out, fitted = stratified(data.labels, np.arange(len(data.labels)), recipe.holdout, "train/holdout")
    with torch.random.fork_rng(devices=[]):  # the one use of the global generator
        torch.manual_seed(seed)
        model: nn.Module = build().to(where)
    chosen = recipe.optimiser
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=chosen.lr,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
        nesterov=chosen.nesterov,
    )
    enhancer, searched = None, fitted[:0]
    if recipe.ews is not None:
        enhancer = Enhancer(model, recipe.ews, seed)
        count = max(1, round(recipe.ews.subset * len(fitted)))
        searched = fitted if count == len(fitted) else stratified(data.labels, fitted, count, "train/searched")[0]
    return Setting(recipe, seed, data, fitted, held_out, searched, where, model, optimiser, objective, enhancer)
