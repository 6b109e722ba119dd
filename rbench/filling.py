"""Tables that are filled: what runs they lack, at what cost, and these evaluations, one model after the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench import planner, sheet
from rbench.api import evaluate, runs_root
from rbench.catalog import Catalog
from rbench.costs.paper import budget
from rbench.errors import InterruptedRunError, MissingError, RbenchError, UsageError
from rbench.evaluating import Evaluation, Task, tasks_of
from rbench.needs import needs, passes
from rbench.planner import Variant
from rbench.sources import data_source, dataset_of
from rbench.store import set_aside
from rbench.subject import subject_of
from rbench.types import Job

STALE = "a run by an older suite, older code or other weights is in its place: add --fresh to move it aside"


@dataclass(frozen=True)
class Filling:
    """One run of a table: its evaluation, or else the error that stopped it."""

    suite: str
    model: str
    evaluation: Evaluation | None = None
    error: RbenchError | None = None


def plan_table(
    name: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    catalog: Catalog | None = None,
) -> list[dict[str, Any]]:
    """What a table lacks: for each run its suite and model, samples done and left, blocks left, passes and a remark.

    `passes` are those through the model that the attacks left to run may take, by the runs of the same suite that are
    there, else at most, by the attacks' budgets, and None if nobody knows; samples and passes are None where weights or
    data are missing, as the remark says.
    """
    catalog = catalog or Catalog.find()
    variant, root = Variant(seed, limit, eps), runs_root(runs)
    found: dict[tuple[str, str], Task | MissingError] = {}
    with data_source(data_dir, download=False):
        for (suite, model), scores in _asked(catalog, name, variant).items():
            try:
                tasks = _tasks(catalog, suite, model, variant, root, scores)
            except MissingError as error:
                found[suite, model] = error
                continue
            for task in tasks:  # what others are compared with may be a row, too, and is run as a whole
                other = found.get((suite, task.subject.name))
                if not isinstance(other, Task) or len(other.jobs) < len(task.jobs):
                    found[suite, task.subject.name] = task
    suites = {task.suite.name: task.suite for task in found.values() if isinstance(task, Task)}
    known = {name: passes(root, suite) for name, suite in suites.items()}
    return [_line(suite, model, each, known.get(suite, {})) for (suite, model), each in found.items()]


def evaluate_table(name: str, **options: Any) -> list[Filling]:
    """Run what a table lacks, one model after the other; `rbench.table` shows the numbers afterwards.

    Only the probes that its scores need are run, and the diagnosis of attacks; the runs are begun as those of whole
    suites, so that `evaluate` goes on with them. A run whose weights or data are missing, or that fails, is left out,
    with its error. `options` are those of `evaluate` that a table knows: `limit`, `seed`, `eps`, `batch`, `workers`,
    `device`, `runs`, `data_dir`, `download`, `progress`, `catalog` and `fresh`, which moves aside only what is stale.
    """
    return list(fill(name, **options))


def fill(
    name: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    fresh: bool = False,
    catalog: Catalog | None = None,
    **means: Any,
) -> Iterator[Filling]:
    """The runs of a table as they end; see `evaluate_table`."""
    catalog = catalog or Catalog.find()
    variant, root = Variant(seed, limit, eps), runs_root(runs)
    options: dict[str, Any] = {
        "limit": limit,
        "seed": seed,
        "eps": eps,
        "runs": runs,
        "data_dir": data_dir,
        "catalog": catalog,
    }
    for (suite, model), scores in _asked(catalog, name, variant).items():
        try:
            if fresh:
                with data_source(data_dir, download=bool(means.get("download"))):
                    for task in _tasks(catalog, suite, model, variant, root, scores):
                        if task.stale:
                            set_aside(task.run.folder)
            yield Filling(suite, model, evaluate(model, suite, scores=scores, **options, **means))
        except (InterruptedRunError, UsageError):
            raise
        except RbenchError as error:
            yield Filling(suite, model, error=error)


def _asked(catalog: Catalog, name: str, variant: Variant) -> dict[tuple[str, str], tuple[str, ...]]:
    """The scores that are asked of each run; raises `UsageError` before anything is run."""
    found = needs(catalog, sheet.table_spec(catalog, name))
    for suite in dict.fromkeys(suite for suite, _ in found):
        variant.apply(catalog.suite(suite))
    return found


def _tasks(
    catalog: Catalog, suite: str, model: str, variant: Variant, root: Path, scores: tuple[str, ...]
) -> list[Task]:
    spec = variant.apply(catalog.suite(suite))
    return tasks_of(catalog, spec, subject_of(catalog, model, variant, spec), dataset_of(spec), variant, root, scores)


def _line(suite: str, model: str, found: Task | MissingError, known: Mapping[str, float]) -> dict[str, Any]:
    """One row of a plan; `known` are the passes that an image takes each attack."""
    line: dict[str, Any] = {"suite": suite, "model": model}
    if isinstance(found, MissingError):
        return {**line, "done": 0, "left": None, "blocks": None, "passes": None, "remark": str(found)}
    jobs, stale = found.jobs, found.stale
    left = {job.probe.name: planner.left(job, found.n, () if stale else found.run.done(job)) for job in jobs}
    samples = {name: sum(map(len, blocks)) for name, blocks in left.items()}
    whole = sum(planner.count(found.n, job.probe) for job in jobs)
    todo = sum(samples.values())
    attacks = [job.probe.name for job in jobs if job.probe.attack is not None and samples[job.probe.name]]
    bounds = {job.probe.name: _bound(found, job) for job in jobs if job.probe.name in set(attacks) - known.keys()}
    each = {**bounds, **known}
    cost = None if None in bounds.values() else round(sum((each[name] or 0) * samples[name] for name in attacks))
    state = STALE if stale else "complete" if not todo else "to run" if todo == whole else "begun"
    state += "; passes at most" if bounds and cost is not None else ""
    blocks = sum(map(len, left.values()))
    return {**line, "done": whole - todo, "left": todo, "blocks": blocks, "passes": cost, "remark": state}


def _bound(task: Task, job: Job) -> int | None:
    """The most passes that an image may take an attack, None if its budget is not known."""
    members = max(1, len(job.probe.surrogates))
    most = budget(job.probe.attack, task.dataset.classes) if job.probe.attack is not None else None
    return None if most is None else members * (most.forwards + most.backwards)
