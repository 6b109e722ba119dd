"""The nouns of architecture search: spaces of RobNet's cells, and the candidates that are drawn from them.

Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020. See `rbench.models.genotypes` for how cells are
written; here a cell is a row of 28 bits, the identity and the convolution of each of its 14 edges in turn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rbench.errors import UsageError
from rbench.types import STRICT

NODE_EDGES = (2, 3, 4, 5)  # from both inputs and all earlier nodes
OPERATIONS = 2 * sum(NODE_EDGES)
DIRECT = (1, 4, 8, 13)  # the edges between neighbouring states: the last cell's output, then node after node
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Filter:
    """Which candidates are worth fine-tuning: the share `keep` of least FSP distance, summed over `cells`.

    Cells count from 0; negative numbers from the last one on, -1.
    """

    __pydantic_config__: ClassVar = STRICT
    keep: float
    cells: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UsageError(f"filter.keep = {self.keep} must be greater than 0 and at most 1.")
        if not self.cells:
            raise UsageError("filter.cells names no cell; name the deep ones, such as [-2, -1].")


@dataclass(frozen=True)
class Search:
    """A one-shot search: `sample` candidates of a supernet's space, each fine-tuned by a recipe and then attacked.

    `supernet` is a model of the catalog, which is trained first; the recipe starts from its weights. `share` of the
    candidates, from the top and from the bottom, are told apart by a linear classifier.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    supernet: str
    recipe: str
    sample: int
    seed: int = 0
    share: float = 0.3
    filter: Filter | None = None

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise UsageError(f"search {self.name!r}: sample = {self.sample} must be at least 1.")
        if not 0 < self.share <= 0.5:
            raise UsageError(f"search {self.name!r}: share = {self.share} must be greater than 0 and at most 0.5.")


@dataclass(frozen=True)
class Candidate:
    """A sub-architecture: its number, and a row of bits for all its cells or one for each."""

    index: int
    bits: Bits

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells as cards write them."""
        return tuple(map(spelled, self.bits))

    @property
    def density(self) -> float:
        """The share of all operations that it has, in [0, 1]: D of the paper, of which |E| is taken as operations."""
        return float(self.bits.mean())

    @property
    def convolutions(self) -> float:
        """How many of the 14 convolutions it has, on average over the cells."""
        return float(self.bits[:, 1::2].sum(1).mean())

    @property
    def direct(self) -> float:
        """How many of these lie on the four edges between neighbouring states, on average over the cells."""
        return float(self.bits[:, 1::2][:, list(DIRECT)].sum(1).mean())


def spelled(row: Bits) -> str:
    """A cell's bits as codes by node: "11 10  01 00 11  ..."."""
    codes = [f"{int(one)}{int(other)}" for one, other in row.reshape(-1, 2)]
    ends = np.cumsum((0, *NODE_EDGES)).tolist()
    return "  ".join(" ".join(codes[start:end]) for start, end in pairwise(ends))


def read(cells: Sequence[str]) -> Bits:
    """The bits [cells, 28] of cells as cards write them."""
    return np.array([[bit == "1" for bit in cell.replace(" ", "")] for cell in cells])


def sampled(seed: int, count: int, rows: int) -> list[Candidate]:
    """The first `count` different candidates of `rows` cells from a seed; every bit is as likely 0 as 1.

    Every node has at least one operation. Raises `UsageError` if the space does not hold that many.
    """
    found: dict[bytes, Candidate] = {}
    for bits in _drawn(seed, rows):
        found.setdefault(bits.tobytes(), Candidate(len(found), bits))
        if len(found) == count:
            return list(found.values())
    raise UsageError(f"a search of {count} candidates of {rows} cells cannot be drawn; sample fewer.")


def _drawn(seed: int, rows: int, tries: int = 1_000_000) -> Iterator[Bits]:
    random = np.random.default_rng(seed)
    starts = 2 * np.cumsum((0, *NODE_EDGES))[:-1]
    for _ in range(tries):
        bits = random.integers(0, 2, (rows, OPERATIONS)).astype(bool)
        if np.logical_or.reduceat(bits, starts, axis=1).all():
            yield bits
