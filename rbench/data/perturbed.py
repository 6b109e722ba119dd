"""A dataset's samples as perturbation sequences, made when they are asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rbench.corruptions.corrupt import as_bytes
from rbench.corruptions.sequence_tables import AT_SOURCE_SIZE, sweep
from rbench.corruptions.sequences import check_difficulty, sequence, stream
from rbench.data.groups import DIFFICULTIES, Against, against, check_groups
from rbench.datasets import Dataset
from rbench.errors import UsageError
from rbench.files import digest_of
from rbench.types import IntArray

CHUNK = 1 << 25  # bytes of frames that are made at a time


@dataclass(frozen=True)
class Perturbed:
    """The view: a group is a difficulty, and every sample has a sequence in it; the constants are those of a size."""

    dataset: Dataset
    seed: int
    perturbation: str
    groups: tuple[int, ...]
    table: int

    @property
    def frames(self) -> int:
        """How many frames a sequence has."""
        return sweep(self.perturbation, self.table).frames

    @property
    def against(self) -> Against:
        """The frame that a frame is compared with."""
        return against(self.perturbation)

    @property
    def provenance(self) -> Mapping[str, str]:
        """Where the frames come from, and what is known to differ from the official ones."""
        told = {"source": "generated", "generator": "hendrycks", "table": str(self.table)}
        # Frames are made as they are: the official ones of ImageNet-P went through a lossy video, CIFAR-P's did not.
        told |= {"jpeg85": "no", "video": "no", "perturbation": self.perturbation}
        if self.perturbation in AT_SOURCE_SIZE.get(self.table, ()):
            told["deviation"] = "perturbed at this size; the official images were, before they were made that small"
        return told

    @property
    def digest(self) -> str:
        """The sha256 of what decides the frames, besides the dataset, the seed and this package's code."""
        return digest_of([self.perturbation, self.groups, self.table, asdict(sweep(self.perturbation, self.table))])

    def images(self, samples: IntArray, group: int) -> npt.NDArray[Any]:
        """The frames, uint8 [n, T, 3, h, w], of some samples at one difficulty."""
        if group not in self.groups:
            raise UsageError(f"difficulty {group} is none of this view's, {', '.join(map(str, self.groups))}.")
        step = max(1, CHUNK // (self.frames * self.dataset.images(samples[:1]).size))
        parts = [samples[start : start + step] for start in range(0, len(samples), step)]
        return np.concatenate([self._perturb(part, group) for part in parts])

    def _perturb(self, samples: IntArray, difficulty: int) -> npt.NDArray[Any]:
        x = as_bytes(torch.from_numpy(np.ascontiguousarray(self.dataset.images(samples))))
        rng = stream(self.seed, self.perturbation, difficulty, torch.from_numpy(samples))
        return sequence(x, self.perturbation, rng, difficulty=difficulty, table=self.table).numpy()


def generated(
    dataset: Dataset,
    seed: int,
    *,
    perturbation: str,
    difficulties: tuple[int, ...] = (1,),
    table: int | None = None,
) -> Perturbed:
    """The samples of a dataset as sequences of a perturbation, with the constants of the size `table`.

    By default that is the shorter side of the images. Larger images are cropped to it, geometric perturbations' after
    they have moved: give 256 pixels and the table 224 to see what ImageNet-P shows. Official files are the benchmark;
    this is a stand-in, and says so in its provenance. Raises `UsageError` for an unknown perturbation, difficulties
    that have no frames of their own, or a size without constants.
    """
    check_groups("difficulties", tuple(difficulties), DIFFICULTIES)
    size = min(dataset.images(np.arange(1)).shape[-2:]) if table is None else table
    sweep(perturbation, size)
    for difficulty in difficulties:
        check_difficulty(perturbation, difficulty)
    return Perturbed(dataset, seed, perturbation, tuple(difficulties), size)
