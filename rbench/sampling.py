"""Some samples of an evaluation, asked in any order: by the same jobs, the same code and the same random numbers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rbench.errors import UsageError
from rbench.evaluating import Means, Task, source_of
from rbench.progress import progress_bar
from rbench.subject import device_of, undisturbed, workers_for
from rbench.types import IntArray, Job, Outcomes, Suite
from rbench.workers import Workers

if TYPE_CHECKING:
    from rbench.bench import Bench

Ask = Callable[[Sequence[str], IntArray], dict[str, Outcomes]]


@contextmanager
def sampler(task: Task, probes: Sequence[str], means: Means, size: int, title: str, most: int) -> Iterator[Ask]:
    """A function from names of probes and numbers of samples to outcomes by probe, in the order of the samples.

    Nothing is stored. `size` is the batch unless `means` name one; `title` and `most`, the number of samples, are for
    the progress. Raises `ModelError` and `AttackError` for what misbehaves.
    """
    from rbench.bench import set_up

    jobs = {job.probe.name: job for job in task.jobs if job.probe.name in probes}
    asked = [job.probe for job in jobs.values()]
    place = device_of(means.device, task.subject.module)
    parts = task.suite, task.subject, task.surrogates, task.dataset.digest, task.variant.seed, place
    count = workers_for(means.workers, task.subject, place)
    with progress_bar(show=means.progress) as bar, undisturbed(task.subject.module, place):
        prepare = partial(set_up, source_of(*parts), asked, task.n, means.batch or size)
        bench = prepare(bar.tick)
        with Workers(count, prepare, bench, bar.tick) as pool:
            bar.begin(title, 0, most)

            def ask(names: Sequence[str], samples: IntArray) -> dict[str, Outcomes]:
                tasks = [(jobs[name], part) for name in names for part in _parts(samples, count)]
                found = [each for results in pool.map(_named, tasks) for each in results]
                bar.advance(len(samples))
                return {name: _ordered([each for probe, each in found if probe == name], samples) for name in names}

            yield ask


def one_by_one(suite: Suite) -> None:
    """Raise `UsageError` for a suite whose outcomes depend on who shares a block, as those of random models do."""
    if suite.draws > 1:
        raise UsageError(
            f"suite {suite.name!r} judges random models by {suite.draws} draws a block, so that single images cannot "
            "be asked; run it as a whole by `rbench eval`."
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
    """Outcomes of one sample each, in the order of the samples."""
    known = {int(part.sample[0]): part for part in parts}
    ordered = [known[int(sample)] for sample in samples]
    names = [field.name for field in fields(Outcomes)]
    return Outcomes(**{name: np.concatenate([getattr(part, name) for part in ordered]) for name in names})
