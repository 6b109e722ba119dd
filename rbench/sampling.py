"""Some samples of an evaluation, asked in any order: by the same jobs, the same code and the same random numbers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rbench.backoff import made
from rbench.catalog import resolve
from rbench.errors import UsageError
from rbench.evaluating import Means, Task, source_of
from rbench.planner import blocks
from rbench.progress import Progress, progress_bar
from rbench.subject import device_of, undisturbed
from rbench.types import IntArray, Job, Outcomes, Suite
from rbench.workers import Workers

if TYPE_CHECKING:
    from rbench.bench import Bench


@dataclass(frozen=True)
class Sampler:
    """Asks jobs, by the names of their probes, about samples, in `parts` at a time; nothing is stored."""

    jobs: Mapping[str, Job]
    pool: Workers
    parts: int
    batch: int
    n: int
    bar: Progress

    def begin(self, title: str, most: int) -> None:
        """Progress from now on is of `most` samples, under a title."""
        self.bar.begin(title, 0, most)

    def some(self, names: Sequence[str], samples: IntArray) -> dict[str, Outcomes]:
        """Outcomes by probe, in the order of the samples, each asked alone: whoever else is asked moves nothing."""
        tasks = [(self.jobs[name], part) for name in names for part in _parts(samples, self.parts)]
        found = [each for results in self.pool.map(_named, tasks) for each in results]
        self.bar.advance(len(samples))
        return {name: _ordered([each for probe, each in found if probe == name], samples) for name in names}

    def every(self, name: str) -> Outcomes:
        """Outcomes of all samples by one probe, in its own blocks, for what costs next to nothing."""
        job = self.jobs[name]
        whole = blocks(self.n, job.probe)
        size = max(1, self.batch // job.probe.block)
        tasks = [(job, whole[start : start + size]) for start in range(0, len(whole), size)]
        found = []
        for results in self.pool.map(_named, tasks):
            found += [each for _, each in results]
            self.bar.advance(sum(len(each.sample) for _, each in results))
        return _ordered(found, np.concatenate([np.array(block) for block in whole]))


@contextmanager
def sampler(task: Task, jobs: Sequence[Job], means: Means, size: int) -> Iterator[Sampler]:
    """What asks some jobs about samples; `size` is the batch unless `means` name one.

    Raises `ModelError` and `AttackError` for what misbehaves.
    """
    from rbench.bench import set_up
    from rbench.classes import of_its_classes

    place = device_of(means.device, task.subject.module)
    parts = task.suite, task.subject, task.surrogates, task.dataset.digest, task.variant.seed, place
    count = means.workers_on(task.subject, place)
    source = source_of(*parts)
    fits = of_its_classes(task.subject, task.suite, task.dataset)
    with progress_bar(show=means.progress) as bar, undisturbed(task.subject.module, place), fits:
        batch = means.batch_for(task.run, source, task.n, count, bar) or size
        prepare = partial(set_up, source, [job.probe for job in jobs], task.n, batch)
        bench = made(prepare, bar.tick, place)
        with Workers(count, prepare, bench, bar.tick) as pool:
            yield Sampler({job.probe.name: job for job in jobs}, pool, count, batch, task.n, bar)


def one_by_one(suite: Suite, probes: Collection[str] = ()) -> None:
    """Raise `UsageError` for what depends on who shares a block: random models, and attacks of other packages."""
    if suite.draws > 1:
        raise UsageError(
            f"suite {suite.name!r} judges random models by {suite.draws} draws a block, so that single images cannot "
            "be asked; run it as a whole by `rbench eval`."
        )
    for probe in suite.probes:
        if probe.name in probes and probe.attack is not None and hasattr(resolve(probe.attack.use), "third_party"):
            raise UsageError(
                f"probe {probe.name!r} of suite {suite.name!r} runs another package's attack, whose outcomes depend on "
                "who shares a block, so that single images cannot be asked; choose scores by native attacks."
            )


def _named(bench: "Bench", job: Job, group: Sequence[range]) -> list[tuple[str, Outcomes]]:
    """The outcomes of blocks, each with the name of its probe."""
    from rbench.engine import run_blocks

    return [(job.probe.name, outcomes) for outcomes in run_blocks(bench, job, group)]


def _parts(samples: IntArray, count: int) -> Iterator[list[range]]:
    """Samples in as many parts as there are workers; every sample is a block of its own."""
    for part in np.array_split(samples, min(count, len(samples))):
        yield [range(int(sample), int(sample) + 1) for sample in part]


def _ordered(parts: Sequence[Outcomes], samples: IntArray) -> Outcomes:
    """Outcomes of blocks, in the order of the samples that they begin with in `samples`."""
    known = {int(part.sample[0]): part for part in parts}
    ordered = [known[int(sample)] for sample in samples if int(sample) in known]
    names = [field.name for field in fields(Outcomes)]
    return Outcomes(**{name: np.concatenate([getattr(part, name) for part in ordered]) for name in names})
