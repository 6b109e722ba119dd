"""What an evaluation would run, what that costs on paper, and in hours by batches that are timed."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench import planner
from rbench.api import runs_root, variant_of
from rbench.catalog import Catalog
from rbench.costs.forecast import Forecast, Left, forecast
from rbench.costs.paper import columns, cost
from rbench.evaluating import Means, Task, interruptible, source_of, tasks_of
from rbench.planner import Variant
from rbench.progress import Silent
from rbench.sources import data_source, dataset_of
from rbench.subject import device_of, subject_of, undisturbed, workers_for
from rbench.workers import Spread


@dataclass(frozen=True)
class TimedPlan:
    """A plan with its `jobs` (see `plan`), and for each model that has something left what its batches say.

    `workers` share the work, of which no more than `speed`, the cores that there are, can run at once; `load` is that
    of the machine's last minute before the batches were timed.
    """

    jobs: list[dict[str, Any]]
    forecasts: list[Forecast]
    workers: int
    speed: int
    load: float = 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        """The time left by the quicker and by the slower of the two batches, if the workers never wait."""
        one, other = (sum(each.seconds[index] for each in self.forecasts) / self.speed for index in (0, 1))
        return min(one, other), max(one, other)

    @property
    def exact(self) -> bool:
        """Whether the passes are exact, and no bound."""
        return all(each.exact for each in self.forecasts)


def plan(
    model: str,
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    catalog: Catalog | None = None,
) -> list[dict[str, Any]]:
    """What an evaluation would run: for each probe its attack or view, samples done, samples and blocks left, passes.

    `forwards_each` and `backwards_each` are those of the attack on a sample, as evidence counts them, `judging_each`
    the forwards that judge it; `forwards` and `backwards` are those of all that is left. `bound` says of them "exact",
    "standing" (what a sample that withstands takes, others less), "at most" or, where they are None, "not known".
    Probes of the model that the suite compares with come first, after its name and a colon.
    """
    catalog = catalog or Catalog.find()
    variant = variant_of(seed, limit, eps, weights, probes, backend)
    with data_source(data_dir, download=False):
        tasks = _tasks(catalog, model, suite, variant, runs_root(runs))
    return _rows(tasks, variant.left_out(catalog.suite(suite)))


def timed_plan(
    model: str,
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    batch: int | str | None = None,
    workers: int | None = None,
    device: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    catalog: Catalog | None = None,
) -> TimedPlan:
    """A plan with the time that is left and the memory of a batch: two batches are timed of each model with its data.

    Nothing is stored. `workers`, `device` and `batch` are those of `rbench.evaluate`. Raises `RbenchError`s with the
    remedy.
    """
    catalog = catalog or Catalog.find()
    variant = variant_of(seed, limit, eps, weights, probes, backend)
    with data_source(data_dir, download=False), interruptible("nothing was stored"):
        tasks = _tasks(catalog, model, suite, variant, runs_root(runs))
        place = device_of(device, tasks[-1].subject.module)
        count, means = workers_for(workers, tasks[-1].subject, place), Means(batch, workers, device, progress=False)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        found = [_timed(task, place, means, count) for task in tasks if any(task.left().values())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    speed = min(count, cores) if place == "cpu" else int(count) if isinstance(count, Spread) else 1
    return TimedPlan(_rows(tasks, variant.left_out(catalog.suite(suite))), found, int(count), speed, load)


def _tasks(catalog: Catalog, model: str, suite: str, variant: Variant, root: Path) -> list[Task]:
    spec = variant.apply(catalog.suite(suite))
    return tasks_of(catalog, spec, subject_of(catalog, model, variant, spec), dataset_of(spec), variant, root)


def _timed(task: Task, place: str, means: Means, workers: int) -> Forecast:
    from rbench.costs.timing import Wanted, timed

    left = [each for each in _left(task) if each.samples]
    source = source_of(task.suite, task.subject, task.surrogates, task.dataset.digest, task.variant.seed, place)
    gradients = any(each.cost.attack is not None and each.cost.attack.backwards for each in left)
    wanted = Wanted([each.probe for each in left], gradients)
    with undisturbed(task.subject.module, place):
        batch = means.batch_for(task.run, source, task.n, workers, Silent())
        found = timed(source, wanted, task.n, batch or task.run.settings().get("batch"))
    return forecast(task.subject.name, left, found)


def _left(task: Task) -> Iterator[Left]:
    """Every probe of a task with its cost and the samples that its folder lacks."""
    todo, suite = task.left(), task.suite
    for probe in suite.probes:
        price = cost(probe, task.dataset.classes, draws=suite.draws, view=task.views.get(probe.name))
        yield Left(probe, price, sum(map(len, todo[probe.name])))


def _rows(tasks: Sequence[Task], lost: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for task in tasks:
        prefix = "" if task is tasks[-1] else f"{task.subject.name}: "
        todo = task.left()
        for each in _left(task):
            probe, asked = each.probe, each.probe.attack or each.probe.data
            rows.append(
                {
                    "probe": f"{prefix}{probe.name}",
                    "attack": asked.use if asked else "none",
                    "done": planner.count(task.n, probe) - each.samples,
                    "left": each.samples,
                    "blocks": len(todo[probe.name]),
                    **columns(each.cost, each.samples),
                }
            )
    return rows + [{"probe": "-", "attack": f"left out: {line}", "done": 0, "left": 0, "blocks": 0} for line in lost]
