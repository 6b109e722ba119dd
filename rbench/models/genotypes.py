"""Cells of RobNet's search space, as data (Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020).

A cell has two inputs, what the cell before the last one and the last one returned, and four nodes. Each node adds up
its edges from both inputs and from all earlier nodes: 2 + 3 + 4 + 5 edges. An edge has two bits: the first one is the
identity, the second one a separable 3x3 convolution, and "11" is the sum of both. A cell is written as the codes of its
14 edges by node, and for each node by source: the input of the cell before the last one, that of the last one, then the
earlier nodes.
"""

from collections.abc import Mapping, Sequence

from rbench.errors import UsageError, unknown

NODES = 4
EDGES = sum(2 + node for node in range(NODES))
CODES = ("00", "10", "01", "11")

# The codes of "large", of which large-v2 is a deeper and wider network, and of "free" are those of
# github.com/gmh14/RobNets, architecture_code.py. Those of RobNet-small and RobNet-medium were never released: the two
# here are OURS. Each has as many parameters as the paper prints of it (in 36 channels, 20 cells and 100 classes) and
# convolutions on all four edges between neighbouring states, which the paper advises for small budgets.
GENOTYPES: Mapping[str, tuple[str, ...]] = {
    "small-ours": ("11 11  10 11 11  00 10 01 11  00 00 00 10 11",),
    "medium-ours": ("11 11  11 11 11  00 11 01 11  10 00 00 01 11",),
    "large": ("11 11  11 11 11  01 11 01 10  11 01 01 01 11",),
    "free": (
        "11 10  11 11 10  11 01 01 10  11 11 00 11 01",
        "11 00  01 10 01  00 10 10 00  01 11 10 11 00",
        "11 11  11 01 01  11 01 00 10  00 10 10 00 11",
        "10 11  10 01 01  10 10 01 10  11 00 00 01 10",
        "11 11  01 00 10  10 10 01 10  01 00 10 01 11",
        "11 10  11 11 11  01 10 11 00  10 01 11 01 11",
        "11 11  11 10 10  01 11 10 01  10 10 10 01 10",
        "01 11  11 11 01  11 11 11 01  11 01 11 10 00",
        "11 11  11 11 11  01 01 11 10  01 00 10 01 11",
        "10 11  01 00 11  11 10 11 01  11 11 11 11 00",
        "11 10  11 00 00  00 11 00 01  10 00 01 10 11",
        "01 11  01 11 11  10 10 11 10  11 01 11 10 00",
        "11 11  10 10 01  00 10 11 11  01 10 10 00 01",
        "01 11  11 11 01  01 11 01 01  11 11 01 10 10",
        "01 11  11 11 11  01 00 01 10  10 11 10 10 11",
        "11 11  00 11 11  01 00 01 10  00 11 01 11 11",
        "11 11  01 11 11  10 11 10 10  10 10 10 11 11",
        "10 11  01 11 11  01 11 00 11  11 00 10 00 01",
        "11 10  11 11 11  11 11 10 11  00 11 01 11 11",
        "11 11  01 01 11  11 01 00 00  10 00 01 01 11",
    ),
}


def codes_of(cells: str | Sequence[str], layers: int) -> list[list[str]]:
    """The 14 codes of each of `layers` cells: of a genotype by its name, or of cells as they are written above.

    A single cell stands for all of them (cell-shared); otherwise there is one for each (cell-free). Raises `UsageError`
    for a name or a code that there is not, a cell of another length, and another number of cells.
    """
    if isinstance(cells, str):
        if cells not in GENOTYPES:
            raise unknown("genotype", cells, GENOTYPES, "rbench/models/genotypes.py")
        cells = GENOTYPES[cells]
    if layers < 1:
        raise UsageError(f"layers = {layers} must be at least 1.")
    if len(cells) not in (1, layers):
        raise UsageError(f"cells holds {len(cells)} cells; write one for all layers, or one for each of the {layers}.")
    codes = [_checked(index, cell.split()) for index, cell in enumerate(cells)]
    return codes * layers if len(codes) == 1 else codes


def _checked(index: int, codes: list[str]) -> list[str]:
    """The codes of cell `index`, if they are what they should be."""
    if len(codes) != EDGES:
        raise UsageError(
            f"cells[{index}] has {len(codes)} codes, not {EDGES}; write one for each edge, 2, 3, 4 and 5 for the nodes."
        )
    for edge, code in enumerate(codes):
        if code not in CODES:
            raise UsageError(
                f"cells[{index}] has the code {code!r} for edge {edge}; the codes are {', '.join(CODES)}, first the "
                f"identity's bit and then the convolution's."
            )
    return codes
