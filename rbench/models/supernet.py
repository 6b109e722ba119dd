"""The supernet of RobNet's one-shot search, all of whose sub-architectures share its weights.

Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from rbench.candidates import OPERATIONS
from rbench.errors import UsageError
from rbench.models.genotypes import EDGES
from rbench.models.robnet import RobNet, Stem
from rbench.models.robnet_cell import Cell, Edge

Bits = Sequence[Sequence[bool]]
"""Of each cell, whether each of its 28 operations runs: the identity and the convolution of each edge in turn."""


class SuperNet(RobNet):
    """A RobNet of all operations; in each step of a training each of them is dropped with probability `drop`.

    Its norms always go by the batch: what they would remember is of no single sub-architecture. So it is no network to
    be evaluated.
    """

    def __init__(self, C: int, layers: int, classes: int, stem: Stem, *, shared: bool, drop: float) -> None:
        """`shared` drops the same operations of all cells."""
        super().__init__([["11"] * EDGES] * layers, C, classes, stem, denoise=False)
        self.shared, self.drop = shared, drop
        for norm in (module for module in self.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None

    @contextmanager
    def paths(self) -> Iterator[None]:
        """A step's own sub-architecture, drawn by torch's global generator of the CPU; then all run again."""
        rows = torch.rand(1 if self.shared else len(self.cells), OPERATIONS) >= self.drop
        with self.only(rows.tolist()):
            yield

    @contextmanager
    def only(self, bits: Bits) -> Iterator[None]:
        """One sub-architecture, of one row of bits for all cells or of one for each; then all operations run again."""
        rows = list(bits) * len(self.cells) if len(bits) == 1 else bits
        for cell, row in zip(self.cells, rows, strict=True):
            for place, edge in enumerate(cast("Cell", cell).edges):
                cast("Edge", edge).dropped = tuple(k for k in (0, 1) if not row[2 * place + k])
        try:
            yield
        finally:
            for edge in (edge for cell in self.cells for edge in cast("Cell", cell).edges):
                cast("Edge", edge).dropped = ()


def supernet(
    C: int, layers: int, classes: int, stem: Stem = "cifar", *, shared: bool = True, drop: float = 0.5
) -> SuperNet:
    """The supernet of a space of `layers` cells of C channels: of one cell for all if `shared`, else of one for each.

    How many operations a step drops is not said in the paper: one half, as in a sub-architecture that is drawn bit by
    bit, is OURS. Raises `UsageError` unless 0 <= drop < 1.
    """
    if not 0 <= drop < 1:
        raise UsageError(f"drop = {drop} must be at least 0 and less than 1.")
    return SuperNet(C, layers, classes, stem, shared=shared, drop=drop)


def inherited(weights: Mapping[str, Tensor], candidate: RobNet, codes: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """The state of a candidate of which the weights are those of its supernet; its norms have seen nothing yet.

    `codes` are those of each cell's edges, as `rbench.models.genotypes.codes_of` gives them.
    """
    found = dict(candidate.state_dict())
    for key, value in weights.items():
        cell, edge, place, rest = _place(key)
        if place is None:
            found[key] = value
            continue
        code = codes[cell][edge]
        if code[place] == "1":  # it stands behind the identity, if the code has one
            found[f"cells.{cell}.edges.{edge}.operations.{code[:place].count('1')}.{rest}"] = value
    return found


def _place(key: str) -> tuple[int, int, int | None, str]:
    """The cell, edge and operation that a weight belongs to, and its name there; None for one outside operations."""
    parts = key.split(".")
    if parts[0] != "cells" or parts[2] != "edges":
        return 0, 0, None, key
    return int(parts[1]), int(parts[3]), int(parts[5]), ".".join(parts[6:])
