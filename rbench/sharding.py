"""The verbs about shares of an evaluation, `eval --shard` and `merge`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rbench import planner, shards
from rbench.api import runs_root, variant_of
from rbench.away.engines import Engine
from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.evaluating import Means, Task, tasks_of
from rbench.fitting import batch_of
from rbench.shards import Merged, ShardRun, Share
from rbench.sources import data_source, dataset_of
from rbench.store import set_aside
from rbench.subject import subject_of


@dataclass(frozen=True)
class Sharded:
    """A finished share: which it is, how many blocks of it were run now, and the folder of its evidence."""

    share: Share
    fresh_blocks: int
    folder: Path

    @property
    def root(self) -> Path:
        """The folder of all shares."""
        return self.folder.parents[3]


def evaluate_shard(
    model: str,
    suite: str,
    shard: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    batch: int | str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    fresh: bool = False,
    catalog: Catalog | None = None,
    workers: int | None = 1,
    device: str | None = None,
    engine: str = "local",
    address: str | None = None,
    gpus: float | None = None,
    progress: bool = False,
) -> Sharded:
    """Run one share, such as "2/4", of the blocks of an evaluation, in a run folder of its own under runs/shards.

    Options are those of `evaluate`; the size of batches is not measured, since all shares must have the same. `merge`
    makes one run of all shares. Raises `RbenchError`s with the remedy.
    """
    from rbench.tuning import DEFAULT_BATCH

    if not isinstance(model, str):
        raise UsageError("a module lives in this process; name a model, or a file.py:function, with --shard.")
    share, catalog = Share.parse(shard), catalog or Catalog.find()
    variant = variant_of(seed, limit, eps, weights, probes, backend)
    spec, root = variant.apply(catalog.suite(suite)), runs_root(runs)
    if (size := batch_of(batch) or DEFAULT_BATCH) == "auto":
        raise UsageError("--shard goes without --batch auto, since all shares must have the same batch; name a number.")
    means = Means(size, workers, device, progress, Engine(engine, address, gpus))
    with data_source(data_dir, download):
        subject = subject_of(catalog, model, variant, spec)
        tasks = tasks_of(catalog, spec, subject, dataset_of(spec), variant, share.root(root))
        tasks = [_shared(task, share, size, root) for task in tasks]
        if fresh:
            set_aside(tasks[-1].run.folder)
        return Sharded(share, sum(task.complete(means) for task in tasks), tasks[-1].run.folder)


def merge(folders: Iterable[str | Path], *, runs: str | Path | None = None) -> list[Merged]:
    """Make one run of the shares in some folders, by default under $RBENCH_RUNS or runs/; see `rbench.shards.merge`."""
    return shards.merge(folders, runs_root(runs))


def _shared(task: Task, share: Share, batch: int, root: Path) -> Task:
    """A task whose run folder takes a share of it."""
    names = tuple(probe.name for probe in task.suite.probes)
    variant = replace(task.variant, options=planner.runs_option(root))
    command = planner.command(task.suite.name, task.subject.name, variant)
    return replace(task, run=ShardRun(task.run.folder, share, names, task.n, batch, command))
