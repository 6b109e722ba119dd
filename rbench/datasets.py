"""What the engine asks of data: labelled samples, and other views of the same samples."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy.typing as npt

from rbench.types import IntArray


class Dataset(Protocol):
    """Labelled images; `images(indices)` gives uint8 or float32 in [0, 1], shape [n, C, H, W]."""

    name: str
    classes: int
    labels: IntArray

    @property
    def digest(self) -> str:
        """The sha256 of images and labels."""
        ...

    def images(self, indices: IntArray) -> npt.NDArray[Any]:
        """The images at `indices`, in that order."""
        ...


class View(Protocol):
    """The samples of a dataset in another form: corrupted (a group is a severity), or as sequences (a difficulty).

    Every sample has `frames` images in each of the `groups`. Source, generator, jpeg85, frost, transform and the like
    are the `provenance`.
    """

    @property
    def groups(self) -> tuple[int, ...]:
        """The severities, or the difficulties."""
        ...

    @property
    def frames(self) -> int:
        """How many images a sample has in a group: 1, or the length of a sequence."""
        ...

    @property
    def against(self) -> Literal["first", "previous"]:
        """Which frame of a sequence the others are compared with."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """What a reader must know of the images, as words."""
        ...

    @property
    def digest(self) -> str:
        """The sha256 of what the images are made of."""
        ...

    def images(self, samples: IntArray, group: int) -> npt.NDArray[Any]:
        """The uint8 images [n, frames, C, H, W] of some samples of the dataset, in that order, in one group."""
        ...
