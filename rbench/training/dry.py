"""What a training would take: sizes, steps, hours and memory, from a few steps that are timed."""

import resource
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from rbench.data.synthetic import synthetic
from rbench.datasets import Dataset
from rbench.training.pipeline import Pipeline
from rbench.training.ranks import joined
from rbench.training.run import Means, Training
from rbench.training.setting import Setting, prepare
from rbench.training.step import step

TIMED = 3
PATIENCE = 60.0  # seconds that the timed steps may take on a CPU; larger batches are not tried


@dataclass(frozen=True)
class Estimate:
    """What a training would take; `hours` are those of its steps, without the measurements between epochs.

    `timed` samples went through each timed step, of `batch`; `memory` is the most that was held then, in bytes.
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
    hours: float
    memory: int

    def text(self) -> str:
        """The same for people."""
        scaled = "" if self.timed == self.batch else f" (timed with {self.timed} of the {self.batch} images of a batch)"
        return (
            f"{self.model}: {self.parameters:,} parameters\n"
            f"  {self.epochs} epochs of {self.images:,} noise images of the right shape, {self.steps:,} steps of "
            f"{self.batch}\n"
            f"  on {self.device}: {self.seconds:.3g} s a step{scaled}, {self.hours:.3g} hours of steps\n"
            f"  memory at its peak: {self.memory / 2**30:.2f} GiB"
        )


def estimate(asked: Training, means: Means) -> Estimate:
    """Time `TIMED` steps of a training, after one to warm up, on noise in the shape of its data.

    On a CPU the batch is cut where it would take longer than a minute, and the time of a step scaled to the whole one.
    """
    recipe = replace(asked.recipe, threads=None)
    with joined(means.device) as (ranks, where):
        data = synthetic(asked.card.dataset)
        setting = prepare(asked.card, recipe, asked.seed, where, data=data, ranks=ranks, accumulate=means.accumulate)
        if where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(where)
        timed, seconds = _timed(setting, data)
        steps = recipe.epochs * setting.batches
        return Estimate(
            asked.card.name,
            torch.cuda.get_device_name(where) if where.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
            sum(parameter.numel() for parameter in setting.model.parameters()),
            len(setting.fitted),
            recipe.epochs,
            steps,
            recipe.batch,
            timed,
            seconds,
            steps * seconds / 3600,
            _peak(where),
        )


def _timed(setting: Setting, data: Dataset) -> tuple[int, float]:
    """How many samples were timed, and the median time of a step scaled to a whole batch."""
    batch = setting.recipe.batch
    size = batch if setting.device.type == "cuda" else min(2, batch)
    taken = _one(setting, data, size, 0)
    while size < batch and 2 * taken * (1 + TIMED) < PATIENCE:
        size = min(2 * size, batch)
        taken = _one(setting, data, size, 0)
    times = [_one(setting, data, size, 1 + index) for index in range(TIMED)]
    return size, float(np.median(times)) * batch / size


def _one(setting: Setting, data: Dataset, size: int, iteration: int) -> float:
    """The seconds of one step of the first epoch that has perturbed weights, if any has, on `size` samples."""
    awp = setting.recipe.awp
    epoch = awp.warmup if awp else 0
    pipeline = Pipeline(data, setting.recipe, setting.seed)
    ids = setting.fitted[iteration * size : (iteration + 1) * size]
    started = time.perf_counter()
    step(setting, epoch, iteration, [pipeline[epoch, part].to(setting.device) for part in setting.parts(ids)], size)
    if setting.device.type == "cuda":
        torch.cuda.synchronize(setting.device)
    return time.perf_counter() - started


def _peak(device: torch.device) -> int:
    """The most memory that was held, in bytes: by PyTorch on a GPU, else by this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
