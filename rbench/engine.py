"""Jobs to outcomes: the only loop over batches."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.catalog import bind
from rbench.errors import AttackError, MissingError, RbenchError
from rbench.models.twin import Counted, accelerate
from rbench.planner import left
from rbench.progress import Progress
from rbench.referee import Verdict, Witness, judge, logits_of
from rbench.rng import Draws
from rbench.store import Run
from rbench.types import Dataset, Finding, IntArray, Job, Outcomes

GIVEN = ("model", "x", "y", "threat", "rng")  # what the engine hands to every attack
DEFAULT_BATCH = 100
CANDIDATES = {"cpu": (50, 200), "cuda": (250, 500, 1000, 2000)}
WORTHWHILE = 1.25  # another batch size must be this much faster, so that noise does not choose


@dataclass(frozen=True)
class Bench:
    """What all jobs of a run share: the model as given, its twin, the data and the batch size of native attacks."""

    model: nn.Module
    twin: Counted
    witness: Witness
    twin_witness: Witness
    dataset: Dataset
    n: int
    device: torch.device
    batch: int


def run(
    jobs: Sequence[Job],
    model: nn.Module,
    dataset: Dataset,
    n: int,
    store: Run,
    *,
    device: torch.device,
    batch: int | None,
    progress: Progress,
) -> None:
    """Run what the store lacks of some jobs on the first n samples of a dataset, block by block.

    Raises `ModelError` and `AttackError` for what misbehaves; what was committed before stays.
    """
    attacks = {job.key: bind(job.probe.attack, GIVEN) if job.probe.attack else None for job in jobs}
    jobs = [job for job in jobs if store.findings(job.probe.name) is None]
    if not jobs:
        return
    bench = _set_up(model, dataset, n, store, device=device, batch=batch, progress=progress)
    for job in jobs:
        todo = left(job, n, store.done(job))
        progress.begin(job.probe.name, n - sum(map(len, todo)), n)
        attack = attacks[job.key]
        foreign = _third_party(attack)
        together = 1 if foreign else max(1, bench.batch // job.probe.block)
        for index in range(0, len(todo), together):
            for outcomes in _run_blocks(bench, job, attack, todo[index : index + together]):
                store.commit(job, outcomes)
                progress.advance(len(outcomes))
        store.complete(job, n, _remarks(foreign))


def _set_up(
    model: nn.Module,
    dataset: Dataset,
    n: int,
    store: Run,
    *,
    device: torch.device,
    batch: int | None,
    progress: Progress,
) -> Bench:
    witness = Witness(model)
    first = np.arange(min(n, DEFAULT_BATCH))
    x, _ = load_images(dataset, first, device)
    logits_of(model, x, dataset.classes)
    counted = Counted(accelerate(model, x), lambda: progress.tick(counted.forwards))
    witness.check("being copied")
    # The batch size moves the last bits of float32 results, so a run keeps the one that it began with.
    batch = batch or store.settings().get("batch") or _tune(counted.inner, x)
    store.remember({"batch": batch, "device": device.type, "torch": torch.__version__})
    return Bench(model, counted, witness, Witness(counted), dataset, n, device, batch)


def _run_blocks(bench: Bench, job: Job, attack: Callable[..., Any] | None, blocks: Sequence[range]) -> list[Outcomes]:
    """The outcomes of some blocks, attacked together and judged one by one."""
    samples = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
    x, y = load_images(bench.dataset, samples, bench.device)
    bounds = np.cumsum([0, *map(len, blocks)])
    spans = [slice(int(start), int(stop)) for start, stop in pairwise(bounds)]
    correct = torch.cat([logits_of(bench.model, x[span], bench.dataset.classes).argmax(1) for span in spans]) == y
    x_adv = x.clone()
    passes = np.zeros((len(samples), 2), dtype=np.int64)
    if attack is not None:
        rows = correct.nonzero()[:, 0]
        size = len(samples) if _third_party(attack) else bench.batch
        for part in rows.split(size) if len(rows) else ():
            x_adv[part] = _attack(bench, job, attack, x[part], y[part], torch.from_numpy(samples)[part.cpu()])
            passes[part.cpu().numpy()] = _spread(bench.twin.take(), len(part))
    outcomes = []
    for span in spans:
        verdict = judge(
            bench.model, x[span], y[span], x_adv[span], job.threat, classes=bench.dataset.classes, attack=job.probe.name
        )
        outcomes.append(_outcomes(samples[span], y[span], verdict, passes[span]))
    bench.witness.check(f"probe {job.probe.name!r} ran")
    bench.twin_witness.check(f"attack {job.probe.name!r} had it")
    return outcomes


def _attack(bench: Bench, job: Job, attack: Callable[..., Any], x: Tensor, y: Tensor, samples: Tensor) -> Tensor:
    """What an attack returns for samples that the model gets right; whatever it raises becomes an `AttackError`."""
    rng = Draws(job.seed, job.probe.name, samples.to(bench.device))
    name = job.probe.name
    try:
        x_adv = attack(bench.twin, x.clone(), y.clone(), job.threat, rng=rng)
    except RbenchError:
        raise
    except Exception as error:
        span = f"samples {int(samples[0])} to {int(samples[-1])}"
        raise AttackError(f"attack {name!r} crashed on {span}: {type(error).__name__}: {error}") from error
    if not isinstance(x_adv, Tensor) or x_adv.shape != x.shape or x_adv.dtype != x.dtype:
        got = f"{x_adv.dtype} {list(x_adv.shape)}" if isinstance(x_adv, Tensor) else type(x_adv).__name__
        raise AttackError(f"attack {name!r} returned {got}, expected {x.dtype} {list(x.shape)}.")
    return x_adv.detach()


def load_images(dataset: Dataset, indices: IntArray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images as float32 in [0, 1] and labels, checked."""
    pixels = dataset.images(indices)
    x = torch.from_numpy(pixels).to(device)
    x = x.float() / 255 if pixels.dtype == np.uint8 else x.float()
    if not (x.min() >= 0 and x.max() <= 1):
        raise MissingError(
            f"dataset {dataset.name!r} has images outside [0, 1] ([{float(x.min()):.4g}, {float(x.max()):.4g}]); "
            "normalise inside the model, not in the data."
        )
    labels = dataset.labels[indices]
    if labels.min() < 0 or labels.max() >= dataset.classes:
        raise MissingError(f"dataset {dataset.name!r} has labels outside 0..{dataset.classes - 1}.")
    return x, torch.from_numpy(labels).to(device)


def _outcomes(samples: IntArray, y: Tensor, verdict: Verdict, passes: IntArray) -> Outcomes:
    zeros = np.zeros(len(samples), dtype=np.int64)
    return Outcomes(
        sample=samples.astype(np.int64),
        group=zeros,
        frame=zeros,
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


def _third_party(attack: Callable[..., Any] | None) -> str | None:
    """The package that an attack comes from, None for native attacks."""
    function = attack.func if isinstance(attack, partial) else attack
    return getattr(function, "third_party", None)


def _remarks(foreign: str | None) -> tuple[Finding, ...]:
    if foreign is None:
        return ()
    message = f"run by {foreign}; results depend on its version and on the partition into blocks."
    return (Finding("third-party", "info", message),)


def _tune(twin: nn.Module, x: Tensor) -> int:
    """The batch size at which a forward and backward pass of one image is quickest, measured for about two seconds."""
    seconds = {DEFAULT_BATCH: _seconds_per_image(twin, x, DEFAULT_BATCH)}
    for size in CANDIDATES.get(x.device.type, ()):
        try:
            seconds[size] = WORTHWHILE * _seconds_per_image(twin, x, size)
        except torch.OutOfMemoryError:
            break
    return min(seconds, key=seconds.__getitem__)


def _seconds_per_image(twin: nn.Module, x: Tensor, size: int) -> float:
    images = x[torch.arange(size, device=x.device) % len(x)].requires_grad_()
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        torch.autograd.grad(twin(images).sum(), images)
        if x.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best / size
