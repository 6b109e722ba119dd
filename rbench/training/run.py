"""From the names of models to their published weights, one after the other or several at a time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.files import digest_of
from rbench.recipe import Recipe
from rbench.rng import checked_seed
from rbench.training.history import TrainResult
from rbench.training.loggers import Kind
from rbench.training.loop import train
from rbench.training.progress import bar
from rbench.training.publish import publish
from rbench.training.ranks import shared, speaks
from rbench.training.start import Origin, origins
from rbench.types import ModelCard
from rbench.workers import Workers

LONGEST = 60  # letters of a folder that spells its changes


@dataclass(frozen=True)
class Training:
    """What is to be trained: a card's architecture, by a recipe, from a seed, in a folder."""

    card: ModelCard
    recipe: Recipe
    seed: int
    folder: Path
    published: bool  # whether the card promises the weights: of the recipe as it is and of its own seed
    start: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Means:
    """What trainings are run with. Batches that are split, by ranks or `accumulate`, are normalised part by part."""

    device: str | None = None
    accumulate: int = 1
    workers: int | None = None
    track: tuple[Kind, ...] = ()
    keep_epochs: bool = False


MEANS = Means()


def training(
    catalog: Catalog,
    name: str,
    out: Path,
    *,
    seed: int | None = None,
    preset: str | None = None,
    override: Mapping[str, Any] | None = None,
) -> Training:
    """The training of a model of the catalog in `out/<name>/seed<k>`, or deeper if its recipe is changed.

    Raises `UsageError` for a model without a recipe, an unknown preset, changes that the recipe does not admit, and
    weights of another architecture to start from.
    """
    card = catalog.model(name)
    if card.recipe is None:
        raise UsageError(f"model {name!r} names no recipe, so it cannot be trained; add recipe = '...' to its card.")
    recipe = catalog.recipe(card.recipe, preset=preset, override=override)
    chosen = recipe.seed if seed is None else checked_seed(seed)
    label = _label(preset, override or {})
    folder, published = out / name / label / f"seed{chosen}", not label and chosen == recipe.seed
    return Training(card, recipe, chosen, folder, published, origins(catalog, card, recipe))


def _label(preset: str | None, override: Mapping[str, Any]) -> str:
    """What sets a changed recipe's folder apart; empty for a recipe as it is."""
    words = [preset] if preset else []
    words += [f"{key}={value}" for key, value in sorted(override.items())]
    label = "+".join(words)
    plain = re.sub(r"[^\w.=+,-]+", "_", label)
    return label if label == plain and len(label) <= LONGEST else f"{plain[:LONGEST]}-{digest_of(label)[:8]}"


def run(catalog: Catalog, asked: Training, means: Means = Means(), **options: Any) -> TrainResult:
    """Train, going on where an earlier call stopped, and publish weights that the card promises.

    `options` are those of `rbench.training.loop.train` about progress. Raises `StoreError` for a folder or a shelf
    that cannot be written.
    """
    result = _trained(asked, means, catalog=catalog, **options)
    if not (asked.published and speaks()):
        return result
    return replace(result, published=publish(catalog, asked.card, result.weights))


def run_all(
    catalog: Catalog,
    asked: Sequence[Training],
    *,
    jobs: int = 1,
    means: Means = Means(),
    progress: bool = True,
    publishing: bool = True,
) -> list[TrainResult]:
    """Several trainings, `jobs` at a time, each in a process of its own; the results in the order of `asked`.

    Weights that cards promise are published unless `publishing` is false. The first training that fails stops the
    others; the same call goes on where each of them stopped.
    """
    if shared():
        raise UsageError("torchrun trains one model at a time; name one, or leave out torchrun and use --jobs.")
    results: dict[int, TrainResult] = {}
    with bar("training", sum(each.recipe.epochs for each in asked), 0, enabled=progress) as report:

        def told(epochs: int) -> None:
            report(epochs, f"{len(results)} of {len(asked)} models done")

        with Workers(jobs, partial(_bench, means, catalog), _bench(means, catalog, told), told) as workers:
            for index, result in workers.map(_one, list(enumerate(asked))):
                each = asked[index]
                wanted = publishing and each.published
                place = publish(catalog, each.card, result.weights) if wanted else None
                results[index] = replace(result, published=place)
                told(0)
    return [results[index] for index in range(len(asked))]


Bench = tuple[Means, Catalog, Callable[[int], None]]


def _bench(means: Means, catalog: Catalog, tick: Callable[[int], None]) -> Bench:
    return means, catalog, tick


def _one(bench: Bench, index: int, asked: Training) -> tuple[int, TrainResult]:
    """A training in a worker process; the parent publishes."""
    means, catalog, tick = bench
    return index, _trained(asked, means, catalog=catalog, progress=False, tick=tick)


def _trained(asked: Training, means: Means, **options: Any) -> TrainResult:
    return train(
        asked.card, asked.recipe, out=asked.folder, seed=asked.seed, start=asked.start, **vars(means), **options
    )
