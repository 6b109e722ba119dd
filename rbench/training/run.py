"""From the name of a model to its published weights."""

from dataclasses import replace
from pathlib import Path

from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.training.history import TrainResult
from rbench.training.loop import train
from rbench.training.publish import publish

__all__ = ["TrainResult", "run"]


def run(catalog: Catalog, name: str, *, seed: int | None = None, out: Path, progress: bool = True) -> TrainResult:
    """Train a model of the catalog in `out/<name>/seed<k>/`; with the recipe's own seed, publish its weights.

    An interrupted training goes on where it stopped. Raises `UsageError` for a model without a recipe and `StoreError`
    for a folder or a shelf that cannot be written.
    """
    card = catalog.model(name)
    if card.recipe is None:
        raise UsageError(f"model {name!r} names no recipe, so it cannot be trained; add recipe = '...' to its card.")
    recipe = catalog.recipe(card.recipe)
    seed = recipe.seed if seed is None else seed
    result = train(card, recipe, out=out / name / f"seed{seed}", seed=seed, progress=progress)
    if seed != recipe.seed:
        return result
    return replace(result, published=publish(catalog, card, result.weights))
