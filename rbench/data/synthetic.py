"""Noise in the shape of a dataset: enough to see whether a training runs, how long it takes and what it needs."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbench.errors import unknown
from rbench.types import FloatArray, IntArray

SHAPES = {  # training images, classes, pixels: of what the official files hold
    "digits": (1297, 10, 32),
    "cifar10": (50_000, 10, 32),
    "cifar100": (50_000, 100, 32),
    "svhn": (73_257, 10, 32),
    "tiny-imagenet": (100_000, 200, 64),
    "imagenet": (1_281_167, 1000, 224),
}


@dataclass
class Synthetic:
    """Uniform noise [3, size, size] a sample, made when it is asked for; the labels go round."""

    name: str
    classes: int
    labels: IntArray
    origins: IntArray
    size: int

    def images(self, indices: IntArray) -> npt.NDArray[np.uint8]:
        """The uint8 images at `indices`, in that order: pure functions of the index."""
        shape = (3, self.size, self.size)
        return np.stack([np.random.Generator(np.random.PCG64(i)).integers(0, 256, shape, np.uint8) for i in indices])

    def crops(self, indices: IntArray, _area: tuple[float, float], _uniform: FloatArray) -> npt.NDArray[np.uint8]:
        """The same images, which have no larger ones to be cut from."""
        return self.images(indices)

    @property
    def digest(self) -> str:
        """The sha256 of what they are made of."""
        return hashlib.sha256(f"synthetic/{self.name}/{len(self.labels)}/{self.size}".encode()).hexdigest()


def synthetic(name: str, copies: int = 0) -> Synthetic:
    """Noise in the shape of the training split of a dataset, with so many altered copies of every image.

    Raises `UsageError` for a dataset that is not known.
    """
    if name not in SHAPES:
        raise unknown("dataset", name, SHAPES, "the list of shapes")
    count, classes, size = SHAPES[name]
    origins = np.tile(np.arange(count, dtype=np.int64), 1 + copies)
    return Synthetic(name, classes, origins % classes, origins, size)
