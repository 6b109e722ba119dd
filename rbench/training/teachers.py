"""Networks that teach another one: models of the catalog, or code that builds them, frozen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rbench.bench import load_images
from rbench.catalog import Catalog
from rbench.datasets import Dataset
from rbench.errors import MissingError, UsageError
from rbench.models.load import load_model
from rbench.planner import Variant
from rbench.subject import subject_of
from rbench.training.objectives import Taught


class Teacher(NamedTuple):
    """A frozen network in evaluation mode, by the name that a recipe gives it, with the digest of its weights."""

    name: str
    digest: str
    network: nn.Module


def teachers_of(
    asked: Sequence[Taught],
    catalog: Catalog | None,
    dataset: str,
    data: Dataset,
    device: torch.device,
    *,
    rehearsal: bool = False,
) -> tuple[Teacher, ...]:
    """The teachers that an objective names, on a device; in a `rehearsal` those without weights are not trained.

    A file of weights that the objective names must be there even then.

    Raises `UsageError` for a teacher of another dataset or number of classes, `MissingError` for one without weights.
    """
    found = catalog or Catalog.find() if asked else None
    return tuple(_checked(_loaded(each, found, dataset, rehearsal), data, device) for each in asked if found)


def _loaded(asked: Taught, catalog: Catalog, dataset: str, rehearsal: bool) -> Teacher:
    """A teacher as it is; a model of the catalog must be of the dataset."""
    card = None if ":" in asked.model else catalog.model(asked.model)
    if card is not None and card.dataset != dataset:
        raise UsageError(
            f"teacher {asked.model!r} classifies {card.dataset!r}, and its student {dataset!r}; "
            f"name a teacher of {dataset!r}."
        )
    name = asked.model if asked.weights is None else f"{asked.model}, {asked.weights}"
    try:
        subject = subject_of(catalog, asked.model, Variant(weights_file=asked.weights), None)
    except MissingError as error:
        if card is None or asked.weights is not None or not rehearsal:
            raise MissingError(f"teacher {asked.model!r}: {error}") from error
        return Teacher(name, "", load_model(card, None))
    return Teacher(name, subject.digest, subject.load())


@torch.no_grad()
def _checked(teacher: Teacher, data: Dataset, device: torch.device) -> Teacher:
    """A teacher on a device, frozen; its logits of an image must be as many as there are classes."""
    network = teacher.network.to(device).eval().requires_grad_(False)
    x, _ = load_images(data, np.zeros(1, dtype=np.int64), device)
    logits = network(x)
    if logits.shape != (1, data.classes):
        raise UsageError(
            f"teacher {teacher.name!r} gives logits {list(logits.shape)} of one image, and {data.name!r} has "
            f"{data.classes} classes; name a teacher of as many."
        )
    return teacher._replace(network=network)


@torch.no_grad()
def taught_by(teachers: Sequence[Teacher], views: Sequence[Tensor]) -> list[Tensor]:
    """The logits [B, classes] of each view by its own teacher; none without teachers."""
    return [teacher.network(view) for teacher, view in zip(teachers, views, strict=True)] if teachers else []
