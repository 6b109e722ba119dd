"""The images of a gallery: runs keep none, so the engine makes those of a few samples anew."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbench import planner
from rbench.again import again, bench_of, joined
from rbench.catalog import Catalog
from rbench.errors import RbenchError, StoreError
from rbench.evaluating import Task, task_of
from rbench.files import canonical_json
from rbench.planner import Variant
from rbench.progress import Progress, progress_bar
from rbench.report.site.choice import Choice, choices
from rbench.report.site.exhibits import Example, Gallery, Seen, Series
from rbench.sources import data_source, dataset_of
from rbench.store import Run
from rbench.subject import subject_of
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
            with bench_of(task, [choice.probe for choice in chosen if choice.shown], self.bar) as bench:
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


def _examples(task: Task, bench: "Bench", choice: Choice, bar: Progress) -> Iterator[Example]:
    """The chosen samples of one probe as the engine makes them, beside what the run says of them."""
    if not choice.shown:
        return
    from rbench.bench import load_images

    (job,) = (job for job in task.jobs if job.probe.name == choice.probe.name)
    held = task.run.outcomes(choice.probe.name)
    assert held is not None  # noqa: S101 - the choice was made of it
    samples = [sample for sample, _ in choice.shown]
    parts = list(again(bench, job, samples, task.n))
    found = joined(outcomes for outcomes, _ in parts)
    changed = {sample: image for _, images in parts for sample, image in images.items()}
    clean, _ = load_images(bench.dataset, np.array(samples), bench.device)
    for (sample, severity), image in zip(choice.shown, clean, strict=True):
        seen = changed[sample] if job.probe.data is None else _corrupted(bench, job, sample, severity)
        now, then = _row(found, sample, severity), _row(held, sample, severity)
        label = int(bench.dataset.labels[sample])
        yield Example(sample, severity, label, _pixels(image), _pixels(seen), now, then)
        bar.advance(1)


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
