"""What a training would take: sizes, steps, hours and memory, from a few steps that are timed."""

import resource
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from rbench.catalog import Catalog
from rbench.data.synthetic import synthetic
from rbench.progress import lasting
from rbench.training.loop import threads
from rbench.training.pipeline import Pipeline
from rbench.training.progress import bar
from rbench.training.ranks import joined
from rbench.training.run import Means, Training
from rbench.training.setting import Setting, prepare
from rbench.training.step import search, step

TIMED = 3
PATIENCE = 60.0  # seconds that the timed steps may take on a CPU; larger batches are not tried


@dataclass(frozen=True)
class Estimate:
    """What a training would take; `hours` are those of its steps and of the searches for weak subnets.

    Neither the making of batches nor the measurements between epochs count. `timed` samples went through each timed
    step, of `batch`; `memory` is the most that was held then, in bytes.
    """

    model: str
    device: str
    parameters: int
    images: int
    epochs: int
    steps: int
    batch: int
    timed: int
    seconds: float
    searching: float
    hours: float
    memory: int

    def __str__(self) -> str:
        """The same for people."""
        scaled = "" if self.timed == self.batch else f" (timed with {self.timed} of the {self.batch} images of a batch)"
        searches = f", {lasting(self.searching)} of it searches" if self.searching else ""
        return (
            f"{self.model}: {self.parameters:,} parameters\n"
            f"  {self.epochs} epochs of {self.images:,} noise images of the right shape, {self.steps:,} steps of "
            f"{self.batch}\n"
            f"  on {self.device}: {self.seconds:.3g} s a step{scaled}, {lasting(3600 * self.hours)}{searches}\n"
            f"  memory at its peak: {self.memory / 2**30:.2f} GiB"
        )


def estimate(asked: Training, means: Means, *, progress: bool = False, catalog: Catalog | None = None) -> Estimate:
    """Time `TIMED` steps of a training, after some to warm up, on noise in the shape of its data.

    Teachers whose weights are missing take as long as trained ones.

    On a CPU the batch is cut where it would take longer than a minute, and the times are scaled to the whole one.
    """
    recipe = asked.recipe
    with joined(means.device) as (ranks, where), threads(recipe.threads):
        data = synthetic(asked.card.dataset, copies=len(recipe.data.args.get("copies", ())))
        setting = prepare(
            asked.card, recipe, asked.seed, where, data=data, ranks=ranks, accumulate=means.accumulate,
            catalog=catalog, rehearsal=True,
        )  # fmt: skip
        if where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(where)
        with bar(asked.card.name, TIMED, 0, enabled=progress and ranks.first) as report:
            size = _affordable(setting)
            times = []
            for index in range(TIMED):
                times.append(_one(setting, size, 1 + index))
                report(1, f"{times[-1]:.3g} s with {size} images")
        seconds = float(np.median(times)) * recipe.batch / size
        searching = _searching(setting, size)
        steps = recipe.epochs * setting.batches
        return Estimate(
            asked.card.name,
            torch.cuda.get_device_name(where) if where.type == "cuda" else _cores(torch.get_num_threads()),
            sum(parameter.numel() for parameter in setting.model.parameters()),
            len(setting.fitted),
            recipe.epochs,
            steps,
            recipe.batch,
            size,
            seconds,
            searching,
            (steps * seconds + searching) / 3600,
            _peak(where),
        )


def _affordable(setting: Setting) -> int:
    """How many samples to time; all of a batch on a GPU. They also warm up."""
    batch = setting.recipe.batch
    size = batch if setting.device.type == "cuda" else min(2, batch)
    taken = _one(setting, size, 0)
    while size < batch and 2 * taken * (1 + TIMED) < PATIENCE:
        size = min(2 * size, batch)
        taken = _one(setting, size, 0)
    return size


def _one(setting: Setting, size: int, iteration: int) -> float:
    """The seconds of one step of the first epoch whose steps have all their parts, on `size` samples."""
    epoch = setting.recipe.full
    pipeline = Pipeline(setting.data, setting.recipe, setting.seed)
    ids = setting.fitted[iteration * size : (iteration + 1) * size]
    batches = [pipeline[epoch, part].to(setting.device) for part in setting.parts(ids)]
    started = _now(setting)
    step(setting, epoch, iteration, batches, size)
    return setting.ranks.mean(_now(setting) - started, setting.device)


def _searching(setting: Setting, size: int) -> float:
    """The seconds of all searches between epochs, by one over `size` images; those in steps are timed with them."""
    ews, enhancer = setting.recipe.ews, setting.enhancer
    if ews is None or enhancer is None:
        return 0.0
    count = sum(enhancer.begin(epoch) for epoch in range(setting.recipe.epochs))
    if not count:
        return 0.0
    started = _now(setting)
    search(replace(setting, searched=setting.fitted[:size]), enhancer, setting.recipe.full)
    taken = setting.ranks.mean(_now(setting) - started, setting.device)
    return count * taken * len(setting.searched) / size


def _cores(threads: int) -> str:
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def _now(setting: Setting) -> float:
    """The time, once the device has done what it was asked for."""
    if setting.device.type == "cuda":
        torch.cuda.synchronize(setting.device)
    return time.perf_counter()


def _peak(device: torch.device) -> int:
    """The most memory that was held, in bytes: by PyTorch on a GPU, else by this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
