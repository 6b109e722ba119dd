"""Jobs to outcomes: the only loop over batches."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rbench.bench import Bench, Source, load_images, set_up
from rbench.catalog import bind
from rbench.errors import AttackError, RbenchError
from rbench.planner import blocks, count, left
from rbench.progress import Progress
from rbench.referee import Verdict, judge, opinion
from rbench.rng import Draws, seed_of, seeded
from rbench.store import Run
from rbench.types import Finding, IntArray, Job, Outcomes
from rbench.views import view_block
from rbench.workers import Workers

GIVEN = ("model", "x", "y", "threat", "rng")  # what the engine hands to every attack


def run(
    jobs: Sequence[Job], source: Source, n: int, store: Run, *, batch: int | None, workers: int, progress: Progress
) -> None:
    """Run what the store lacks of some jobs on the first n samples of a dataset, block by block.

    Blocks are independent and may be computed by several processes, to the same bits. Raises `ModelError` and
    `AttackError` for what misbehaves; what was committed before stays.
    """
    foreign = {job.key: _third_party(bind(job.probe.attack, GIVEN)) for job in jobs if job.probe.attack is not None}
    jobs = [job for job in jobs if store.findings(job.probe.name) is None]
    if not jobs:
        return
    probes = [job.probe for job in jobs]
    bench = set_up(source, probes, n, batch or store.settings().get("batch"), progress.tick)
    store.remember(
        {
            "batch": bench.batch,
            "device": bench.device.type,
            "torch": torch.__version__,
            **{package: version(package) for package in sorted({name for name in foreign.values() if name})},
        }
    )
    prepare = partial(set_up, source, probes, n, bench.batch)
    with Workers(workers, prepare, bench, progress.tick) as pool:
        for job in jobs:
            todo = left(job, n, store.done(job))
            total = count(n, job.probe)
            progress.begin(job.probe.name, total - sum(map(len, todo)), total)
            package = foreign.get(job.key)
            groups = _groups(blocks(n, job.probe), 1 if package else bench.batch // job.probe.block, todo)
            for results in pool.map(run_blocks, [(job, group) for group in groups]):
                for outcomes in results:
                    if any(block.start == outcomes.sample[0] for block in todo):
                        store.commit(job, outcomes)
                        progress.advance(len(np.unique(outcomes.sample)))
            store.complete(job, total, _remarks(package))


def _groups(every: list[range], together: int, todo: list[range]) -> list[tuple[range, ...]]:
    """Blocks that share a batch, where any of them is left to do.

    Who shares a batch moves the last bits of float32 results, so groups are cut from all blocks, not from what is left.
    """
    size = max(1, together)
    groups = [tuple(every[i : i + size]) for i in range(0, len(every), size)]
    return [group for group in groups if any(block in todo for block in group)]


def run_blocks(bench: Bench, job: Job, group: Sequence[range]) -> list[Outcomes]:
    """The outcomes of some blocks, attacked together and judged one by one."""
    if job.probe.data is not None:
        return [view_block(bench, job, block) for block in group]
    attack = bind(job.probe.attack, GIVEN) if job.probe.attack is not None else None
    samples = np.concatenate([np.array(block) for block in group])
    x, y = load_images(bench.dataset, samples, bench.device)
    spans = [slice(int(a), int(b)) for a, b in pairwise(np.cumsum([0, *map(len, group)]))]
    crafting, classes = bench.crafting(job.probe), bench.dataset.classes
    crafting.twin.take()  # an attack that failed before may have left counts behind
    seeds = [_seeds(job, block) for block in group]
    views = [opinion(bench.model, x[s], y[s], classes, draws)[0] for s, draws in zip(spans, seeds, strict=True)]
    correct = torch.cat(views) == y
    x_adv = x.clone()
    passes = np.zeros((len(samples), 2), dtype=np.int64)
    if attack is not None:
        rows = correct.nonzero()[:, 0]
        size = len(samples) if _third_party(attack) else bench.batch
        for part in rows.split(size) if len(rows) else ():
            x_adv[part] = _attack(bench, job, attack, x[part], y[part], torch.from_numpy(samples)[part.cpu()])
            passes[part.cpu().numpy()] = _spread(crafting.twin.take(), len(part))
    outcomes = []
    name = job.probe.name
    for span, draws in zip(spans, seeds, strict=True):
        x_now, y_now = x[span], y[span]
        verdict = judge(bench.model, x_now, y_now, x_adv[span], job.threat, classes=classes, attack=name, seeds=draws)
        known = torch.zeros_like(y_now, dtype=torch.bool)
        if job.probe.surrogates:
            known = opinion(crafting.model, x_now, y_now, classes, draws)[0] == y_now
        outcomes.append(_outcomes(samples[span], y_now, known, verdict, passes[span]))
    for pair in (bench.own, crafting):
        pair.check(name)
    return outcomes


def _seeds(job: Job, block: Sequence[int]) -> tuple[int, ...]:
    """The seeds of the draws that judge a block; none for a model that is the same each time.

    They are those that decide whether an image is attacked at all, lest one that was spared for being wrong turn right.
    """
    if job.draws == 1:
        return ()
    return tuple(seed_of(job.seed, job.probe.name, "judge", block[0], draw) for draw in range(job.draws))


def _attack(bench: Bench, job: Job, attack: Callable[..., Any], x: Tensor, y: Tensor, samples: Tensor) -> Tensor:
    """What an attack returns for samples that the model gets right; whatever it raises becomes an `AttackError`."""
    if job.probe.surrogates or bench.own.random:
        attack = _carried_over(attack)
    name = job.probe.name
    rng = Draws(job.seed, name, samples.to(bench.device))
    try:
        with seeded(seed_of(job.seed, name, "attack", int(samples[0])), bench.device):
            x_adv = attack(bench.crafting(job.probe).twin, x.clone(), y.clone(), job.threat, rng=rng)
    except RbenchError:
        raise
    except Exception as error:
        span = f"samples {int(samples[0])} to {int(samples[-1])}"
        raise AttackError(f"attack {name!r} crashed on {span}: {type(error).__name__}: {error}") from error
    if not isinstance(x_adv, Tensor) or x_adv.shape != x.shape or x_adv.dtype != x.dtype:
        got = f"{x_adv.dtype} {list(x_adv.shape)}" if isinstance(x_adv, Tensor) else type(x_adv).__name__
        raise AttackError(f"attack {name!r} returned {got}, expected {x.dtype} {list(x.shape)}.")
    return x_adv.detach()


def _carried_over(attack: Callable[..., Any]) -> Callable[..., Any]:
    """An attack to be judged on another model than it sees, or by other draws: it goes on where it would stop."""
    stops = "stop" in signature(attack).parameters
    return partial(attack, stop=False) if stops and "stop" not in getattr(attack, "keywords", {}) else attack


def _outcomes(samples: IntArray, y: Tensor, known: Tensor, verdict: Verdict, passes: IntArray) -> Outcomes:
    return Outcomes(
        sample=samples.astype(np.int64),
        group=known.long().cpu().numpy(),
        frame=np.zeros(len(samples), dtype=np.int64),
        label=y.cpu().numpy(),
        pred=verdict.pred.cpu().numpy(),
        margin=verdict.margin.double().cpu().numpy(),
        distance=verdict.distance.double().cpu().numpy(),
        forwards=passes[:, 0],
        backwards=passes[:, 1],
    )


def _spread(counts: Iterable[int], n: int) -> IntArray:
    """Total counts as whole numbers for n samples, [n, 2], as even as can be, whose sums are exact."""
    return np.stack([np.arange(n) < total % n for total in counts], axis=1) + np.array([[t // n for t in counts]])


def _third_party(attack: partial[Any]) -> str | None:
    """The package that an attack comes from, None for native attacks."""
    return getattr(attack.func, "third_party", None)


def _remarks(package: str | None) -> tuple[Finding, ...]:
    if package is None:
        return ()
    message = f"run by {package}; results depend on its version and on the partition into blocks."
    return (Finding("RB144", "info", message),)
