"""The model that a training is to be as good as, which then ends it: arXiv 2307.03803, algorithm 1."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.planner import Variant
from rbench.recipe import Recipe
from rbench.subject import subject_of
from rbench.training.selection import measure
from rbench.training.setting import Setting
from rbench.types import ModelCard


class Goal(NamedTuple):
    """A model of the catalog, the digest of its weights, and how to get it."""

    model: str
    digest: str
    load: Callable[[], nn.Module]


def goal_of(card: ModelCard, recipe: Recipe, catalog: Catalog | None) -> Goal | None:
    """The model that `selection.until` names, if it names one.

    Raises `UsageError` for the model itself and for one of another dataset, `MissingError` for one without weights.
    """
    if (name := recipe.selection.until) is None:
        return None
    catalog = catalog or Catalog.find()
    where = f"recipe {recipe.name!r} ends the training of {card.name!r} by {name!r}"
    if name == card.name:
        raise UsageError(f"{where}, which is itself; name another model in selection.until.")
    if (dataset := catalog.model(name).dataset) != card.dataset:
        raise UsageError(f"{where}, which is of another dataset: {dataset}, not {card.dataset}.")
    try:
        subject = subject_of(catalog, name, Variant(), None)
    except MissingError as error:
        raise MissingError(f"{where}: {error}") from error
    return Goal(name, subject.digest, subject.load)


def wanted(setting: Setting, goal: Goal) -> float:
    """The held-out accuracy that ends the training: the goal's under the attack of the selection, less kappa points."""
    clean, robust = measure(setting, goal.load().to(setting.device))
    return (clean if robust is None else robust) - setting.recipe.selection.kappa / 100
