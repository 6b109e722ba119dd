"""The images of a gallery: runs keep none, so the engine makes those of a few samples anew."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbench import planner
from rbench.catalog import Catalog, resolve
from rbench.errors import RbenchError, StoreError
from rbench.evaluating import Task, source_of, task_of
from rbench.files import canonical_json
from rbench.planner import Variant
from rbench.progress import Progress, progress_bar
from rbench.report.site.choice import Choice, choices
from rbench.report.site.exhibits import Example, Gallery, Seen, Series
from rbench.sources import data_source, dataset_of
from rbench.store import Run
from rbench.subject import device_of, subject_of, undisturbed
from rbench.types import FloatArray, Job, Outcomes, Suite

if TYPE_CHECKING:
    from torch import Tensor

    from rbench.bench import Bench


@dataclass(frozen=True)
class Curator:
    """Makes the gallery of one run after another: of each attack, `count` samples that it fools."""

    catalog: Catalog
    root: Path
    count: int
    bar: Progress

    def __call__(self, suite: Suite, model: str, variant: Variant) -> Gallery:
        """The gallery of a run of a suite as `variant` has it; where no images can be made, it says why."""
        run = Run(planner.run_folder(self.root, suite.name, model, variant))
        chosen = choices(suite, run, self.count)
        self.bar.begin(f"{suite.name} {model}", 0, sum(len(choice.shown) for choice in chosen))
        if not any(choice.shown for choice in chosen):
            return Gallery(tuple(Series(choice) for choice in chosen))
        try:
            task = self._task(suite, model, variant)
            with _bench(task, [choice for choice in chosen if choice.shown], self.bar) as bench:
                return Gallery(tuple(self._series(task, bench, choice) for choice in chosen))
        except RbenchError as error:
            return Gallery(tuple(Series(choice) for choice in chosen), str(error))

    def _task(self, suite: Suite, model: str, variant: Variant) -> Task:
        """The evaluation of today; raises a `StoreError` if the run is of another one."""
        subject = subject_of(self.catalog, model, variant, suite)
        task = task_of(self.catalog, suite, subject, dataset_of(suite), variant, self.root)
        held, wanted = task.run.manifest() or {}, json.loads(canonical_json(task.manifest))
        # The version alone moves nothing: all that outcomes depend on has a digest of its own.
        changed = [key for key in wanted if key != "rbench" and held.get(key) != wanted[key]]
        if changed:
            remedy = f"{planner.command(suite.name, model, variant)} --fresh"
            raise StoreError(f"{', '.join(changed)} changed since the run, so that it cannot be repeated: {remedy}.")
        return task

    def _series(self, task: Task, bench: "Bench", choice: Choice) -> Series:
        try:
            return Series(choice, tuple(_examples(task, bench, choice, self.bar)))
        except RbenchError as error:
            return Series(choice, reason=str(error))


@contextmanager
def curator(
    catalog: Catalog, root: Path, count: int, *, data_dir: str | Path | None = None, progress: bool = False
) -> Iterator[Curator]:
    """What makes galleries, with its progress on stderr if `progress`; data are never fetched."""
    with data_source(data_dir, download=False), progress_bar(show=progress) as bar:
        yield Curator(catalog, root, count, bar)


@contextmanager
def _bench(task: Task, chosen: Sequence[Choice], bar: Progress) -> "Iterator[Bench]":
    """Model, twin and data, set up as the run had them, on its device if this machine has one."""
    from rbench.bench import set_up

    settings = task.run.settings()
    place = device_of(None, None) if settings.get("device") == "cuda" else "cpu"
    source = source_of(task.suite, task.subject, task.surrogates, task.dataset.digest, task.variant.seed, place)
    with undisturbed(None, place):
        yield set_up(source, [choice.probe for choice in chosen], task.n, settings.get("batch"), bar.tick)


def _examples(task: Task, bench: "Bench", choice: Choice, bar: Progress) -> Iterator[Example]:
    """The chosen samples of one probe as the engine makes them, beside what the run says of them."""
    if not choice.shown:
        return
    from rbench.bench import load_images

    (job,) = (job for job in task.jobs if job.probe.name == choice.probe.name)
    held = task.run.outcomes(choice.probe.name)
    assert held is not None  # noqa: S101 - the choice was made of it
    samples = [sample for sample, _ in choice.shown]
    found, changed = _again(bench, job, samples, task.n)
    clean, _ = load_images(bench.dataset, np.array(samples), bench.device)
    for (sample, severity), image in zip(choice.shown, clean, strict=True):
        seen = changed[sample] if job.probe.data is None else _corrupted(bench, job, sample, severity)
        now, then = _row(found, sample, severity), _row(held, sample, severity)
        label = int(bench.dataset.labels[sample])
        yield Example(sample, severity, label, _pixels(image), _pixels(seen), now, then)
        bar.advance(1)


def _again(bench: "Bench", job: Job, samples: Sequence[int], n: int) -> tuple[Outcomes, dict[int, "Tensor"]]:
    """The outcomes of some samples, run again, and by sample the images that the referee judged."""
    from rbench.engine import run_blocks

    parts: list[Outcomes] = []
    images: dict[int, Tensor] = {}
    for group in _groups(bench, job, samples, n):
        with ExitStack() as stack:
            judged = _watch(bench, len(group) * job.draws, stack)
            outcomes = run_blocks(bench, job, group)
        parts += outcomes
        if job.probe.data is None:
            for part, image in zip(outcomes, list(judged)[:: job.draws], strict=True):
                images |= dict(zip(part.sample.tolist(), image, strict=True))
    return _joined(parts), images


def _watch(bench: "Bench", last: int, stack: ExitStack) -> deque["Tensor"]:
    """The last inputs that the model as given is asked about: those of the referee, which has the last word."""
    seen: deque[Tensor] = deque(maxlen=last)
    handle = bench.model.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    stack.callback(handle.remove)
    return seen


def _groups(bench: "Bench", job: Job, samples: Sequence[int], n: int) -> list[list[range]]:
    """Blocks to run together. Every sample is one, unless its random numbers depend on its company in the run.

    Those of other packages' attacks, and of random models, do.
    """
    foreign = job.probe.attack is not None and hasattr(resolve(job.probe.attack.use), "third_party")
    if not foreign and job.draws == 1:
        return [[range(sample, sample + 1) for sample in samples]]
    every = planner.blocks(n, job.probe)
    size = 1 if foreign else max(1, bench.batch // job.probe.block)
    groups = [every[start : start + size] for start in range(0, len(every), size)]
    return [group for group in groups if any(sample in block for block in group for sample in samples)]


def _corrupted(bench: "Bench", job: Job, sample: int, severity: int) -> "Tensor":
    """The image of a sample under a corruption, as the engine has it from the probe's view."""
    from rbench.bench import as_floats

    pixels = bench.view(job.probe).images(np.array([sample]), severity)
    return as_floats(pixels[0], repr(job.probe.name), bench.device)[0]


def _row(outcomes: Outcomes, sample: int, severity: int) -> Seen:
    """What a sample's outcome says; severity 0 stands for any group, since attacks have none."""
    rows = (outcomes.sample == sample) & ((outcomes.group == severity) | (severity == 0))
    (row,) = np.flatnonzero(rows)
    return Seen(int(outcomes.pred[row]), float(outcomes.margin[row]), float(outcomes.distance[row]))


def _pixels(image: "Tensor") -> FloatArray:
    return image.double().cpu().numpy()


def _joined(parts: Iterable[Outcomes]) -> Outcomes:
    """Outcomes one after another."""
    parts = list(parts)
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Outcomes)}
    return Outcomes(**{name: np.concatenate(values) for name, values in columns.items()})
