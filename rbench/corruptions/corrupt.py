"""Corruptions of images in Python: `rbench.corrupt(images, "fog", severity=3, seed=0)`."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from rbench.corruptions.generators import Generator, GeneratorName
from rbench.corruptions.randomness import Stream
from rbench.errors import UsageError
from rbench.rng import Draws, checked_seed

PART = 2**20  # numbers that are corrupted at a time: 7 images of 224 pixels, 341 of 32
Images = TypeVar("Images", Tensor, np.ndarray[Any, Any])


def corrupt(
    images: Images,
    corruption: str,
    *,
    severity: int,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    generator: GeneratorName = "hendrycks",
    table: int | None = None,
    jpeg85: bool = False,
) -> Images:
    """Corrupted images of the type, shape, dtype and device of the ones given, [B, 3, H, W] or [B, 1, H, W].

    Images are uint8, or floats in [0, 1] that are rounded to multiples of 1/255 first, since corruptions are defined on
    bytes; one channel becomes three. What comes back depends on (seed, number of the image, corruption, severity) only;
    `samples` are these numbers, integers from 0 on, by default 0, 1, 2, ... `jpeg85` stores and reads the images as
    ImageNet-C did. Raises `UsageError` for an unknown corruption, a severity outside 1..5, a seed outside 0..2^31 - 1,
    samples that are no numbers of images, or images that are none.
    """
    given = images if isinstance(images, Tensor) else _tensor(images)
    x = as_bytes(given)
    _check_words(corruption, severity, generator, table)
    numbers = _numbers(range(len(x)) if samples is None else samples, len(x))
    y = corrupted(x, corruption, int(severity), Generator(generator, table), checked_seed(seed), numbers)
    if jpeg85:
        from rbench.corruptions.digital import stored_as_jpeg

        y = stored_as_jpeg(y)
    found = y if given.dtype == torch.uint8 else y.to(given.dtype) / 255
    return found if isinstance(images, Tensor) else found.numpy()


def corrupted(x: Tensor, corruption: str, severity: int, generator: Generator, seed: int, samples: Tensor) -> Tensor:
    """The corrupted images, uint8 [B, 3, H, W], of images uint8 [B, 3, H, W] with their numbers, int64 [B].

    On a CPU a part of the batch at a time, which saves memory and time: larger tensors are new to it every time. What
    comes back does not depend on the parts. Raises `UsageError` as `Generator` does.
    """
    size = max(1, PART // x[0].numel()) if x.device.type == "cpu" else len(x)
    parts = zip(x.split(size), samples.to(x.device).split(size), strict=True)
    made = [generator(part, corruption, severity, stream(seed, corruption, severity, ids)) for part, ids in parts]
    return torch.cat(made)


def _tensor(images: "np.ndarray[Any, Any]") -> Tensor:
    """An array as a tensor; a copy, if it may not be written to, for torch has no such tensors and warns."""
    array = np.require(images, requirements=["C", "W"])
    try:
        return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        raise UsageError(f"images are {array.dtype}; give uint8, or floats in [0, 1].") from error


def _check_words(corruption: Any, severity: Any, generator: Any, table: Any) -> None:
    """Raise `UsageError` for what has not even the type; whether there is such a thing, the generator says."""
    for name, word in (("corruption", corruption), ("generator", generator)):
        if not isinstance(word, str):
            raise UsageError(f"{name} = {word!r} must be a name.")
    if isinstance(severity, bool) or not isinstance(severity, Integral):
        raise UsageError(f"severity = {severity!r} must be one of 1, 2, 3, 4, 5.")
    if table is not None and (isinstance(table, bool) or not isinstance(table, Integral)):
        raise UsageError(f"table = {table!r} must be None or a number of pixels.")


def _numbers(samples: Any, count: int) -> Tensor:
    """The numbers of so many images, int64 [B]; raises `UsageError` for what are none."""
    try:
        numbers = samples.numpy(force=True) if isinstance(samples, Tensor) else np.asarray(samples)
    except (TypeError, ValueError):  # bfloat16; lists of lists of several lengths
        numbers = np.empty(())
    if numbers.ndim == 1 and len(numbers) != count:
        raise UsageError(f"{len(numbers)} numbers for {count} images; give each image one.")
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or (numbers.astype(np.int64) < 0).any():
        raise UsageError(f"samples = {samples!r} must be integers from 0 on, one an image.")
    return torch.from_numpy(numbers.astype(np.int64))


def stream(seed: int, corruption: str, severity: int, samples: Tensor) -> Stream:
    """The random numbers of a corruption for some samples, int64 [B]."""
    return Stream(Draws(seed, f"corrupt/{corruption}/{severity}", samples))


def as_bytes(x: Tensor) -> Tensor:
    """Images as uint8 [B, 3, H, W]; raises `UsageError` for what is no batch of images."""
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not len(x):
        raise UsageError(f"images of shape {list(x.shape)} are no batch [B, 3, H, W] or [B, 1, H, W].")
    if x.dtype != torch.uint8:
        if not x.is_floating_point():
            raise UsageError(f"images are {x.dtype}; give uint8, or floats in [0, 1].")
        if not (x.min() >= 0 and x.max() <= 1):
            raise UsageError(f"images lie in [{float(x.min()):.4g}, {float(x.max()):.4g}], not in [0, 1].")
        x = (x * 255).round().to(torch.uint8)
    return x.expand(-1, 3, -1, -1)
