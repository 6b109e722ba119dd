"""Corruptions of images in Python: `rbench.corrupt(images, "fog", severity=3, seed=0)`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from rbench.corruptions.generators import Generator, GeneratorName
from rbench.corruptions.randomness import Stream
from rbench.errors import UsageError
from rbench.rng import Draws

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
    `samples` are these numbers, by default 0, 1, 2, ... `jpeg85` stores and reads the images as ImageNet-C did. Raises
    `UsageError` for an unknown corruption, a severity outside 1..5, or images that are none.
    """
    given = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
    x = as_bytes(given)
    numbers = torch.arange(len(x)) if samples is None else torch.as_tensor(samples)
    if len(numbers) != len(x):
        raise UsageError(f"{len(numbers)} numbers for {len(x)} images; give each image one.")
    rng = stream(seed, corruption, severity, numbers.to(x.device))
    y = Generator(generator, table)(x, corruption, severity, rng)
    if jpeg85:
        from rbench.corruptions.digital import stored_as_jpeg

        y = stored_as_jpeg(y)
    found = y if given.dtype == torch.uint8 else y.to(given.dtype) / 255
    return found if isinstance(images, Tensor) else found.numpy()


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
