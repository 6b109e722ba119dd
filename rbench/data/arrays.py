"""A dataset that fits in memory."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.types import IntArray


@dataclass(frozen=True)
class ArrayDataset:
    """Images as uint8 [N, C, H, W] and labels as int64 [N], in memory."""

    name: str
    classes: int
    pixels: npt.NDArray[np.uint8]
    labels: IntArray

    def images(self, indices: IntArray) -> npt.NDArray[Any]:
        """The uint8 images at `indices`, in that order."""
        return self.pixels[indices]

    @cached_property
    def digest(self) -> str:
        """The sha256 of shape, images and labels."""
        word = hashlib.sha256(str(self.pixels.shape).encode())
        word.update(np.ascontiguousarray(self.pixels).tobytes())
        word.update(self.labels.astype("<i8").tobytes())
        return word.hexdigest()
