"""What every block of samples needs: the model as given, its twin, and the images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rbench.errors import MissingError, ModelError
from rbench.models.twin import Counted, accelerate
from rbench.referee import Witness, logits_of
from rbench.tuning import DEFAULT_BATCH, quickest_batch
from rbench.types import Dataset, IntArray


@dataclass(frozen=True)
class Source:
    """Where model and data come from; both are called once in every process that works. `digest` is the data's."""

    model: Callable[[], nn.Module]
    data: Callable[[], Dataset]
    digest: str
    device: str


@dataclass(frozen=True)
class Bench:
    """What every block needs: the model as given, its twin, the data and the batch size of native attacks."""

    model: nn.Module
    twin: Counted
    witness: Witness
    twin_witness: Witness
    dataset: Dataset
    device: torch.device
    batch: int


def set_up(source: Source, n: int, batch: int | None, tick: Callable[[int], None]) -> Bench:
    """Load model and data in this process, make the twin, and measure the best batch size unless one is given."""
    device = torch.device(source.device)
    if device.type == "cuda":  # float32 means float32, for the attack as for the referee
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model, dataset = source.model().to(device), source.data()
    if dataset.digest != source.digest:
        raise MissingError(
            f"dataset {dataset.name!r} changed while it was used: {dataset.digest}, not {source.digest}."
        )
    witness = Witness(model)
    x, _ = load_images(dataset, np.arange(min(n, DEFAULT_BATCH)), device)
    logits = logits_of(model, x, dataset.classes)
    witness.check("it was asked for logits")
    if not torch.equal(logits, logits_of(model, x, dataset.classes)):
        raise ModelError("the model gives the same images different logits each time; its randomness must be fixed.")
    twin = accelerate(model, x)
    witness.check("being copied")
    # The batch size moves the last bits of float32 results, so a run keeps the one that it began with.
    batch = batch or (quickest_batch(twin, x) if n > DEFAULT_BATCH else DEFAULT_BATCH)
    counted = Counted(twin, tick)
    return Bench(model, counted, witness, Witness(counted), dataset, device, batch)


def load_images(dataset: Dataset, indices: IntArray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images as float32 in [0, 1] and labels, checked; raises `MissingError` for data that is no images."""
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
