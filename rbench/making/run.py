"""A dataset to its corrupted copy on disk, block by block in several processes; the same call resumes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rbench import __version__
from rbench.away.engines import Engine
from rbench.corruptions.corrupt import stream
from rbench.corruptions.generators import Generator, GeneratorName
from rbench.corruptions.tables import COMMON, CORRUPTIONS, SEVERITIES
from rbench.datasets import Dataset
from rbench.errors import UsageError, unknown
from rbench.evaluating import interruptible
from rbench.making.data import call_of, colour_images, on_disk
from rbench.making.frost import frost_of, frost_source
from rbench.making.layouts import FORMS, Block, Form, starts
from rbench.making.manifest import Manifest, pinned
from rbench.making.work import Bench, Order, bench_of, draw_blocks, found_blocks, keep_blocks, make_blocks, set_up
from rbench.progress import Progress, progress_bar
from rbench.rng import checked_seed
from rbench.sources import data_source, loaded
from rbench.subject import MOST_WORKERS, undisturbed
from rbench.workers import Workers

TOGETHER = 256  # blocks handed out at once: waiting for thousands costs more than the pause between two lots


@dataclass(frozen=True)
class Made:
    """A finished dataset: its folder, layout, what its manifest says, and how many images this call made."""

    folder: Path
    form: Form
    manifest: dict[str, Any]
    fresh: int


def make(
    data: str,
    out: str | Path,
    *,
    corruptions: Sequence[str] = COMMON,
    severities: Sequence[int] = SEVERITIES,
    generator: GeneratorName = "hendrycks",
    table: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    form: Form | None = None,
    workers: int | None = 1,
    engine: str = "local",
    address: str | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    frost: str | Path | None = None,
    progress: bool = False,
) -> Made:
    """Write corrupted copies of a dataset's test images into a folder, in the layout of CIFAR-10-C or of ImageNet-C.

    `data` is a name in `rbench.making.data.DATA` or a pointer "package.module:function" to a loader. `form` is "npy" by
    default for datasets in memory, "folders" for image files. `frost` is a folder of frost photographs. `workers`
    processes share the work, None for one a core; the bytes do not depend on their number. The engine "ray" takes
    workers of the cluster at `address`, which need the dataset but not the folder. The same call again goes on
    where an earlier one was stopped, and makes anew what has not the digest in the manifest. Raises `RbenchError`s with
    the remedy.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit = {limit} must be at least 1.")
    if workers is not None and workers < 1:
        raise UsageError(f"workers = {workers} must be at least 1.")
    chosen_engine = Engine(engine, address)
    with data_source(data_dir, download), frost_source(frost), interruptible(), undisturbed(None, "cpu"):
        call = call_of(data)
        dataset = loaded(call)
        count = len(dataset.labels) if limit is None else min(limit, len(dataset.labels))
        first = colour_images(dataset, [0])
        height, width = first.shape[-2:]
        maker, names, numbers = Generator(generator, table), _sorted(corruptions), tuple(sorted(set(severities)))
        _try(maker, first, names, numbers)
        chosen = _form(form, dataset, numbers)
        order = Order(call, names, numbers, maker, checked_seed(seed), (count, height, width), chosen, Path(out))
        with pinned(order.folder, _pins(order, dataset)) as manifest, progress_bar(show=progress) as bar:
            count = chosen_engine.workers(workers, "cpu") if chosen_engine.away else _count(workers)
            fresh = _run(bench_of(order, dataset), manifest, count, bar)
        return Made(order.folder, order.form, manifest.value, fresh)


def _run(bench: Bench, manifest: Manifest, workers: int, bar: Progress) -> int:
    """Make what the folder lacks, or holds otherwise than its manifest says; how many images that were."""
    fresh = 0
    with Workers(workers, partial(set_up, bench.order), bench, lambda _: None) as pool:
        for corruption in bench.order.corruptions:
            fresh += _complete(bench, corruption, pool, bar)
            files = bench.layout.finish(corruption)
            if wrong := [name for name, digest in files.items() if manifest.files.get(name, digest) != digest]:
                bench.layout.discard(wrong)
                fresh += _complete(bench, corruption, pool, bar)
                files = bench.layout.finish(corruption)  # of another digest still, if another Pillow wrote it
            manifest.add(files)
    return fresh


def _complete(bench: Bench, corruption: str, pool: Workers, bar: Progress) -> int:
    """Make the images of a corruption that are not there; how many that were."""
    order, fresh = bench.order, 0
    todo = bench.layout.left(corruption)
    total = order.shape[0] * len(order.severities)
    bar.begin(f"{corruption:<17}", total - _images(todo, order), total)
    tasks = _tasks(corruption, todo, starts(order.shape).step)
    for first in range(0, len(tasks), TOGETHER):
        for made, written in _made(bench, corruption, pool, tasks[first : first + TOGETHER]):
            bench.layout.commit(corruption, written)
            bar.advance(_images(written, order))
            fresh += made
    return fresh


def _made(
    bench: Bench, corruption: str, pool: Workers, tasks: list[tuple[Any, ...]]
) -> Iterator[tuple[int, dict[Block, list[str]]]]:
    """What became of some tasks; workers that are away send images, which are stored here."""
    if not pool.away:
        yield from pool.map(make_blocks, tasks)
        return
    rest = []
    for task in tasks:
        there = found_blocks(bench, *task)
        yield 0, there
        _, start, severities, size = task
        if lacking := [severity for severity in severities if (severity, start) not in there]:
            rest.append((corruption, start, lacking, size))
    for samples, rows in pool.map(draw_blocks, rest):
        yield len(samples) * len(rows), keep_blocks(bench, corruption, samples, rows)


def _tasks(corruption: str, todo: Iterable[Block], size: int) -> list[tuple[Any, ...]]:
    """What `make_blocks` is told for blocks that are to be made: those of the same images are one task."""
    severities: dict[int, list[int]] = {}
    for severity, start in todo:
        severities.setdefault(start, []).append(severity)
    return [(corruption, start, found, size) for start, found in severities.items()]


def _images(blocks: Iterable[Block], order: Order) -> int:
    """How many images some blocks hold."""
    count, size = order.shape[0], starts(order.shape).step
    return sum(min(size, count - start) for _, start in blocks)


def _sorted(corruptions: Sequence[str]) -> tuple[str, ...]:
    """Corruptions in their usual order, each once."""
    for name in corruptions:
        if name not in CORRUPTIONS:
            raise unknown("corruption", name, CORRUPTIONS)
    return tuple(name for name in CORRUPTIONS if name in corruptions)


def _try(maker: Generator, image: Tensor, corruptions: Sequence[str], severities: Sequence[int]) -> None:
    """Refuse at once what would be refused after hours: constants that do not exist, photographs that are damaged."""
    if not (corruptions and severities):
        raise UsageError("there is nothing to make: name a corruption and a severity.")
    for corruption in corruptions:
        for severity in severities:
            maker.recipe(corruption, severity, *image.shape[-2:])
    if "frost" in corruptions:
        maker(image, "frost", severities[0], stream(0, "frost", severities[0], torch.zeros(1).long()))


def _form(form: Form | None, dataset: Dataset, severities: Sequence[int]) -> Form:
    chosen: Form = form or ("folders" if on_disk(dataset) else "npy")
    if chosen not in FORMS:
        raise unknown("format", chosen, FORMS)
    if chosen == "npy" and not set(severities) >= set(SEVERITIES):
        raise UsageError("an array of the layout npy holds all five severities; for some of them add --format folders.")
    return chosen


def _pins(order: Order, dataset: Dataset) -> dict[str, Any]:
    """What the bytes of the dataset depend on, and what a reader of them must know."""
    return {
        "rbench": __version__,
        "dataset": dataset.name,
        "digest": dataset.digest,
        "count": order.shape[0],
        "height": order.shape[1],
        "width": order.shape[2],
        "generator": order.generator.name,
        "table": order.generator.table,
        "seed": order.seed,
        "corruptions": order.corruptions,
        "severities": order.severities,
        "layout": order.form,
        "frost": frost_of() if "frost" in order.corruptions else None,
    }


def _count(workers: int | None) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return workers or min(cores, MOST_WORKERS)
