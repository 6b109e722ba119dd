"""A model that tells other classes apart than a suite's dataset: what is said of it, whatever it was named by."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from rbench import hubs
from rbench.bench import load_images
from rbench.datasets import Dataset
from rbench.errors import ModelError
from rbench.subject import Subject
from rbench.types import Suite


@contextmanager
def of_its_classes(subject: Subject, suite: Suite, dataset: Dataset) -> Iterator[None]:
    """Turn the `ModelError` of a model whose classes are not the dataset's into the one that says how to mend it.

    Only a model that has failed is looked at: what fits costs nothing.
    """
    try:
        yield
    except ModelError as error:
        told = _classes(subject.load(), dataset)
        if told in (None, dataset.classes):
            raise
        raise ModelError(
            f"{_name(subject)} tells {told:,} classes apart, {suite.dataset!r} of suite {suite.name!r} has "
            f"{dataset.classes:,}. {_remedy(subject, dataset.classes)}, or choose a suite of the model's own dataset "
            "(rbench ls suites)."
        ) from error


def _classes(model: nn.Module, dataset: Dataset) -> int | None:
    """How many logits a model gives to the first image, None if it gives none."""
    device = next((value.device for value in model.state_dict().values()), torch.device("cpu"))
    x, _ = load_images(dataset, np.arange(1), device)
    try:
        with torch.no_grad():
            logits = model(x)
    except Exception:  # noqa: BLE001 - whatever it is, it was said before
        return None
    return logits.shape[1] if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == 1 else None


def _name(subject: Subject) -> str:
    return subject.card.title if subject.card is not None and ":" in subject.card.title else f"model {subject.name!r}"


def _remedy(subject: Subject, classes: int) -> str:
    """How to come by a model of so many classes, by how this one was named."""
    if subject.card is None:
        return f"Give its last layer {classes:,} outputs"
    collection, _, rest = _name(subject).partition(":")
    if collection in hubs.HUBS:
        bare = f", or {collection}:{rest.partition('@')[0]}@{hubs.RANDOM}" if f"{collection}:" in hubs.BARE else ""
        return f"Name weights of these classes{bare}"
    if rest:
        return f"Let {_name(subject)} build a last layer of {classes:,} outputs"
    return f"Let `arch` of its card build {classes:,} outputs"
