"""What each process does: load the images of a block, corrupt and store them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rbench.corruptions.corrupt import corrupted
from rbench.corruptions.generators import Generator
from rbench.datasets import Dataset
from rbench.making.arrays import Arrays
from rbench.making.data import colour_images, names_of
from rbench.making.folders import Folders
from rbench.making.layouts import Block, Form, Layout, Shape
from rbench.sources import loaded
from rbench.types import Call


@dataclass(frozen=True)
class Order:
    """What is to be made, in the words that every process understands."""

    data: Call
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    generator: Generator
    seed: int
    shape: Shape
    form: Form
    folder: Path


@dataclass(frozen=True)
class Bench:
    """The data and the layout of one process."""

    order: Order
    dataset: Dataset
    layout: Layout


def set_up(order: Order, tick: Callable[[int], None] | None = None) -> Bench:  # noqa: ARG001
    """Load the data; what other benches tell of passes through a model has no meaning here."""
    return bench_of(order, loaded(order.data))


def bench_of(order: Order, dataset: Dataset) -> Bench:
    """The bench for a dataset that is loaded."""
    if order.form == "npy":
        labels = [int(label) for label in dataset.labels]
        return Bench(order, dataset, Arrays(order.folder, order.shape, labels))
    return Bench(order, dataset, Folders(order.folder, order.shape, order.severities, names_of(dataset)))


def make_blocks(
    bench: Bench, corruption: str, start: int, severities: Sequence[int], size: int
) -> tuple[int, dict[Block, list[str]]]:
    """Make the blocks of several severities, of images that are loaded once, where they are not there yet.

    Returns how many images were made, and what the layout answered for each block.
    """
    order, written, fresh = bench.order, {}, 0
    samples = range(start, min(start + size, order.shape[0]))
    images: Tensor | None = None
    for severity in severities:
        answer = bench.layout.found(corruption, severity, samples)
        if answer is None:
            images = colour_images(bench.dataset, samples) if images is None else images
            made = corrupted(images, corruption, severity, order.generator, order.seed, torch.tensor(samples))
            rows = made.permute(0, 2, 3, 1).contiguous().numpy()
            answer = bench.layout.write(corruption, severity, samples, rows)
            fresh += len(samples)
        written[severity, start] = answer
    return fresh, written
