"""Attacked images, made anew: runs keep none, so the engine runs the samples again that someone wants to see."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from rbench import planner
from rbench.catalog import resolve
from rbench.evaluating import Task, source_of
from rbench.progress import Progress
from rbench.subject import device_of, undisturbed
from rbench.types import Job, Outcomes, Probe

if TYPE_CHECKING:
    from torch import Tensor

    from rbench.bench import Bench


@contextmanager
def bench_of(task: Task, probes: Sequence[Probe], bar: Progress, device: str | None = None) -> "Iterator[Bench]":
    """Model, twin and data, set up as the run had them; by default on its device if this machine has one."""
    from rbench.bench import set_up

    settings = task.run.settings()
    own = None if settings.get("device") == "cuda" else "cpu"
    place = device_of(device or own, None)
    source = source_of(task.suite, task.subject, task.surrogates, task.dataset.digest, task.variant.seed, place)
    with undisturbed(task.subject.module, place):
        yield set_up(source, probes, task.n, settings.get("batch"), bar.tick)


def again(bench: "Bench", job: Job, samples: Sequence[int], n: int) -> Iterator[tuple[Outcomes, dict[int, "Tensor"]]]:
    """Outcomes of some samples, run again a group at a time, and by sample the images that the referee judged.

    Of a view of the data there are no images: they are the view's. A group may hold others besides.
    """
    from rbench.engine import run_blocks

    for group in _groups(bench, job, samples, n):
        with ExitStack() as stack:
            judged = _watch(bench, len(group) * job.draws, stack)
            outcomes = run_blocks(bench, job, group)
        images: dict[int, Tensor] = {}
        if job.probe.data is None:
            for part, image in zip(outcomes, list(judged)[:: job.draws], strict=True):
                images |= dict(zip(part.sample.tolist(), image, strict=True))
        yield joined(outcomes), images


def joined(parts: Iterable[Outcomes]) -> Outcomes:
    """Outcomes one after another."""
    parts = list(parts)
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Outcomes)}
    return Outcomes(**{name: np.concatenate(values) for name, values in columns.items()})


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
        alone = [range(sample, sample + 1) for sample in samples]
        return [alone[start : start + bench.batch] for start in range(0, len(alone), bench.batch)]
    every = planner.blocks(n, job.probe)
    size = 1 if foreign else max(1, bench.batch // job.probe.block)
    groups = [every[start : start + size] for start in range(0, len(every), size)]
    return [group for group in groups if any(sample in block for block in group for sample in samples)]
