"""From sample ids to batches that a network can be fitted to, in this process or in several."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Indexed

from rbench.data.crops import NUMBERS
from rbench.datasets import Dataset
from rbench.errors import UsageError
from rbench.recipe import Recipe
from rbench.rng import Draws
from rbench.training.augmix import augmix
from rbench.training.batches import Batch, augmented, cut_out, fetch, unit
from rbench.training.policies import by_policy
from rbench.types import IntArray

ONE = np.zeros(1, dtype=np.int64)
VIEWS = 2  # mixtures of an image that AugMix compares with it


class Pipeline(Indexed[Batch]):
    """`pipeline[epoch, ids]` is the batch of these samples as they are seen in an epoch: cropped, mirrored, mixed.

    What becomes of a sample is a function of (seed, epoch, sample), whatever batch, process or rank it is in.
    """

    def __init__(self, data: Dataset, recipe: Recipe, seed: int) -> None:
        self.data, self.recipe, self.seed = data, recipe, seed
        if recipe.augment.area is not None and not hasattr(data, "crops"):
            raise UsageError(f"augment.area crops image files; {data.name!r} is none. Choose augment.pad.")
        if recipe.augment.padding == "reflect" and recipe.augment.pad >= (size := min(data.images(ONE).shape[2:])):
            raise UsageError(f"augment.pad = {recipe.augment.pad} reflects more than an image of {size} pixels has.")

    def __getitem__(self, asked: tuple[int, IntArray]) -> Batch:
        """The batch, on the CPU."""
        epoch, ids = asked
        samples = torch.from_numpy(ids)
        rng = Draws(self.seed, f"train/augment/{epoch}", samples)
        chosen = self.recipe.augment
        if chosen.area is None:
            batch = fetch(self.data, ids)
        else:
            uniform = rng.named("crop").uniform((NUMBERS,), dtype=torch.float64).numpy()
            crops: Any = self.data  # with `crops`, as was checked
            batch = Batch(
                unit(crops.crops(ids, chosen.area, uniform)), torch.from_numpy(self.data.labels[ids]), samples
            )
        x = by_policy(augmented(batch.x, chosen, rng), chosen, rng.named("policy"))
        x = cut_out(x, chosen.cutout, rng.named("cutout"))
        if self.recipe.augmix is None:
            return batch._replace(x=x)
        stream = Draws(self.seed, f"train/attack/{epoch}", samples).named("augmix")
        mixed = tuple(augmix(x, self.recipe.augmix, stream, draw) for draw in range(VIEWS))
        return batch._replace(x=x, mixed=mixed)


def batches(
    pipeline: Pipeline, asked: Iterable[tuple[int, IntArray]], workers: int, device: torch.device
) -> Iterator[Batch]:
    """The batches of (epoch, samples), one by one, on a device; made ahead by `workers` processes, or here if 0."""
    if not workers:
        yield from (pipeline[each].to(device) for each in asked)
        return
    loader = DataLoader(
        pipeline,
        batch_size=None,
        sampler=asked,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_deaf,
        pin_memory=device.type == "cuda",
        multiprocessing_context=multiprocessing.get_context("spawn"),  # this process has threads, perhaps a GPU
    )
    yield from (batch.to(device) for batch in loader)


def _deaf(_worker: int) -> None:
    """Signals reach all processes of a group; what they mean to a training, its main process decides.

    A worker ends with its main process, which it watches.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch
