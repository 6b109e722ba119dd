"""Which images are trained on, in what order and how altered: pure functions of (seed, epoch, sample)."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from rbench.datasets import Dataset
from rbench.errors import UsageError
from rbench.recipe import Augment
from rbench.rng import Draws
from rbench.types import IntArray

_FILL = {"zero": 0.0, "grey": 128 / 255}


class Batch(NamedTuple):
    """Images [B, C, H, W] as float32 in [0, 1], labels [B], sample ids [B] and, for AugMix, mixtures of the images."""

    x: Tensor
    y: Tensor
    samples: Tensor
    mixed: tuple[Tensor, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; on a GPU its images are in channels_last, as the network's weights are."""
        x, y, samples = (part.to(device, non_blocking=True) for part in self[:3])
        mixed = [part.to(device, non_blocking=True) for part in self.mixed]
        if device.type == "cuda":
            x, *mixed = (part.contiguous(memory_format=torch.channels_last) for part in (x, *mixed))
        return Batch(x, y, samples, tuple(mixed))


def stratified(labels: IntArray, ids: IntArray, count: int, stream: str) -> tuple[IntArray, IntArray]:
    """Split `ids` into (`count` chosen, the rest), each ascending; every class gives its share.

    Shares are exact to less than one image if the classes are equally large, otherwise to 1/2 + f (K - 2)/2 images for
    a class that is f of all images of K classes. The choice depends on `stream` only, never on a training seed. Raises
    `UsageError` if nothing would be left.
    """
    if not 0 < count < len(ids):
        raise UsageError(f"cannot choose {count} of {len(ids)} images; give a number from 1 to {len(ids) - 1}.")
    order = ids[np.argsort(Draws(0, stream, torch.from_numpy(ids)).words(1, 0)[:, 0].numpy(), kind="stable")]
    # The k-th image of a class of n has rank (k + 1/2)/n; the lowest ranks are chosen.
    _, kinds, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    rank = np.empty(len(order))
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    rank[np.argsort(kinds, kind="stable")] = (places + 0.5) / np.repeat(counts, counts)
    chosen = np.sort(order[np.argsort(rank, kind="stable")[:count]])
    return chosen, np.setdiff1d(ids, chosen)


def origins_of(data: Dataset) -> IntArray:
    """For each sample the id of the image that it is an altered copy of, its own id where it is none.

    A dataset that holds such copies, as DeepAugment's, says so by an attribute `origins`.
    """
    own = np.arange(len(data.labels))
    return np.asarray(getattr(data, "origins", own))


def epoch_order(ids: IntArray, seed: int, epoch: int) -> IntArray:
    """The training images of an epoch in the order in which they are seen."""
    words = Draws(seed, f"train/order/{epoch}", torch.from_numpy(ids)).words(1, 0)[:, 0]
    return ids[np.argsort(words.numpy(), kind="stable")]


def split(ids: IntArray, size: int) -> list[IntArray]:
    """Batches of `size`, the last one smaller if need be."""
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def fetch(data: Dataset, ids: IntArray) -> Batch:
    """The images of a dataset as they are, on the CPU."""
    return Batch(unit(data.images(ids)), torch.from_numpy(data.labels[ids]), torch.from_numpy(ids))


def unit(pixels: npt.NDArray[Any]) -> Tensor:
    """Bytes, or numbers in [0, 1], as float32 in [0, 1]."""
    raw = torch.from_numpy(np.ascontiguousarray(pixels))
    return raw.float() / 255 if raw.dtype == torch.uint8 else raw.float()


def augmented(x: Tensor, augment: Augment, rng: Draws) -> Tensor:
    """Random crops of the padded images [B, C, H, W] and, if asked for, mirror images."""
    if not (augment.pad or augment.flip):
        return x
    words = rng.words(3, 0)
    height, width = x.shape[2:]
    pad = [augment.pad] * 4
    if augment.padding == "reflect":
        padded = F.pad(x, pad, mode="reflect")
    else:
        padded = F.pad(x, pad, value=_FILL[augment.padding])
    rows = words[:, :1] % (2 * augment.pad + 1) + torch.arange(height, device=x.device)
    columns = words[:, 1:2] % (2 * augment.pad + 1) + torch.arange(width, device=x.device)
    if augment.flip:
        columns = torch.where(words[:, 2:] % 2 == 1, columns.flip(1), columns)
    sample = torch.arange(len(x), device=x.device)
    # Indices [B, 1, H, 1] and [B, 1, 1, W] around the channels pick one window a sample.
    channel = torch.arange(x.shape[1], device=x.device)
    picked = padded[
        sample[:, None, None, None], channel[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]
    ]
    return picked.contiguous()


def cut_out(x: Tensor, side: int, rng: Draws) -> Tensor:
    """Images [B, C, H, W], each with a black square of `side` pixels around a random pixel, cut off at its borders.

    It reaches side // 2 pixels up and to the left of that pixel, as in the authors' program.
    """
    if not side:
        return x
    words = rng.words(2, 0)
    height, width = x.shape[2:]
    rows = _spans(words[:, :1] % height - side // 2, side, height)
    columns = _spans(words[:, 1:] % width - side // 2, side, width)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _spans(start: Tensor, side: int, size: int) -> Tensor:
    """Which of `size` places lie in each span of `side` from `start` [B, 1] on, [B, size]."""
    place = torch.arange(size, device=start.device)
    return (place >= start) & (place < start + side)
