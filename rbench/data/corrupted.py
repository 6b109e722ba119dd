"""A dataset's samples under one of the 19 common corruptions, made when they are asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from rbench.corruptions.corrupt import as_bytes, corrupted
from rbench.corruptions.digital import stored_as_jpeg
from rbench.corruptions.generators import Generator, GeneratorName
from rbench.corruptions.tables import SEVERITIES
from rbench.data.groups import check_groups
from rbench.datasets import Dataset
from rbench.files import digest_of
from rbench.types import IntArray


@dataclass(frozen=True)
class Corrupted:
    """The view: a group is a severity, and every sample has one image in it."""

    dataset: Dataset
    seed: int
    corruption: str
    groups: tuple[int, ...]
    generator: Generator
    jpeg85: bool
    frames: int = 1
    against: Literal["first", "previous"] = "previous"

    @property
    def provenance(self) -> Mapping[str, str]:
        """Where the images come from."""
        table = self.generator.table or ("224" if self.generator.name == "imagecorruptions" else "by size")
        told = {
            "source": "generated",
            "generator": self.generator.name,
            "table": str(table),
            "jpeg85": "yes" if self.jpeg85 else "no",
        }
        if self.corruption != "frost":
            return told
        from rbench.corruptions import frost_images

        return {**told, "frost": frost_images.source()}

    @property
    def digest(self) -> str:
        """The sha256 of what decides the images, besides the dataset, the seed and this package's code."""
        from rbench.corruptions import frost_images

        textures = frost_images.digest() if self.corruption == "frost" else ""
        return digest_of([self.corruption, self.groups, asdict(self.generator), self.jpeg85, textures])

    def images(self, samples: IntArray, group: int) -> npt.NDArray[Any]:
        """The uint8 images [n, 1, 3, H, W] of some samples at one severity."""
        x = as_bytes(torch.from_numpy(np.ascontiguousarray(self.dataset.images(samples))))
        y = corrupted(x, self.corruption, group, self.generator, self.seed, torch.from_numpy(samples))
        return (stored_as_jpeg(y) if self.jpeg85 else y).numpy()[:, None]


def generated(
    dataset: Dataset,
    seed: int,
    *,
    corruption: str,
    severities: tuple[int, ...] = SEVERITIES,
    generator: GeneratorName = "hendrycks",
    table: int | None = None,
    jpeg85: bool = False,
) -> Corrupted:
    """The samples of a dataset under a corruption at some severities, by a generator with the constants of a table.

    `jpeg85` stores and reads every image as ImageNet-C did. Official files are the benchmark; this is a stand-in, and
    says so in its provenance. Raises `UsageError` for an unknown corruption or generator, severities that are none or
    are named twice, a size without constants, or a table of imagecorruptions.
    """
    check_groups("severities", tuple(severities), SEVERITIES)
    made = Corrupted(dataset, seed, corruption, tuple(severities), Generator(generator, table), jpeg85)
    height, width = dataset.images(np.arange(1)).shape[-2:]
    for severity in made.groups:
        made.generator.recipe(corruption, severity, height, width)
    return made
