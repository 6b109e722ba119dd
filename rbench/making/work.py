"""What each process does: load the images of a block, corrupt and store them."""

from collections.abc import Callable, Mapping, Sequence
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
from rbench.making.layouts import Block, Form, Images, Layout, Shape
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
    written, fresh = {}, 0
    samples = range(start, min(start + size, bench.order.shape[0]))
    images: Tensor | None = None
    for severity in severities:
        answer = bench.layout.found(corruption, severity, samples)
        if answer is None:
            images = colour_images(bench.dataset, samples) if images is None else images
            answer = bench.layout.write(
                corruption, severity, samples, _rows(bench, images, corruption, severity, samples)
            )
            fresh += len(samples)
        written[severity, start] = answer
    return fresh, written


def draw_blocks(
    bench: Bench, corruption: str, start: int, severities: Sequence[int], size: int
) -> tuple[range, dict[int, Images]]:
    """What `make_blocks` makes, for a machine that does not see the folder: the samples, and rows by severity."""
    samples = range(start, min(start + size, bench.order.shape[0]))
    images = colour_images(bench.dataset, samples)
    return samples, {severity: _rows(bench, images, corruption, severity, samples) for severity in severities}


def found_blocks(
    bench: Bench, corruption: str, start: int, severities: Sequence[int], size: int
) -> dict[Block, list[str]]:
    """What the layout answers for those of some blocks that turn out to be there already."""
    samples = range(start, min(start + size, bench.order.shape[0]))
    answers = {(severity, start): bench.layout.found(corruption, severity, samples) for severity in severities}
    return {block: answer for block, answer in answers.items() if answer is not None}


def keep_blocks(bench: Bench, corruption: str, samples: range, rows: Mapping[int, Images]) -> dict[Block, list[str]]:
    """Store what `draw_blocks` made; returns what the layout answers for each block."""
    write = bench.layout.write
    return {
        (severity, samples.start): write(corruption, severity, samples, images) for severity, images in rows.items()
    }


def _rows(bench: Bench, images: Tensor, corruption: str, severity: int, samples: range) -> Images:
    """Corrupted images, [n, H, W, 3]."""
    order = bench.order
    made = corrupted(images, corruption, severity, order.generator, order.seed, torch.tensor(samples))
    rows: Images = made.permute(0, 2, 3, 1).contiguous().numpy()
    return rows
