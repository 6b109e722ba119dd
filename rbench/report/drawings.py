"""Drawings of RobNet's cells: states from left to right, edges as arcs whose colour and line say their operations."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rbench.candidates import NODE_EDGES, Bits, read
from rbench.errors import UsageError
from rbench.files import write_atomically
from rbench.models.genotypes import GENOTYPES
from rbench.report.plot import COLOURS, written
from rbench.types import ModelCard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES = ("older\ninput", "newer\ninput", "node 0", "node 1", "node 2", "node 3")
KINDS: Mapping[tuple[bool, ...], tuple[str, str, Literal["-", "--"]]] = {  # identity, convolution -> name, look
    (True, False): ("identity", COLOURS[0], "--"),
    (False, True): ("convolution", COLOURS[1], "-"),
    (True, True): ("both", COLOURS[2], "-"),
}
ACROSS = 4  # cells side by side


def draw_card(card: ModelCard, file: Path) -> None:
    """Write a drawing of the cells of a RobNet's card as PNG or PDF; raises `UsageError` if it has none."""
    cells = card.arch.args.get("cells")
    if cells is None:
        raise UsageError(f"{card.name!r} has no cells to draw; RobNets have, such as robnet-large-cifar10.")
    if file.suffix not in (".png", ".pdf"):
        raise UsageError(f"{file} is to be a drawing; name a file that ends in .png or .pdf.")
    named = GENOTYPES.get(cells, ()) if isinstance(cells, str) else cells
    figure = drawn(read(named), f"{card.name}: {card.title}")
    write_atomically(file, written(figure, "pdf" if file.suffix == ".pdf" else "png"))


def drawn(bits: Bits, title: str) -> "Figure":
    """A figure of cells [n, 28], the identity and the convolution of each edge in turn; convolutions are thick."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(ACROSS, len(bits))
    rows = -(-len(bits) // columns)
    figure = Figure(figsize=(max(4.6 * columns, 5.6), 2.9 * rows + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    for place, row in enumerate(bits):
        axes = figure.add_subplot(rows, columns, place + 1)
        _cell(axes, row)
        axes.set_title("all cells" if len(bits) == 1 else f"cell {place}", fontsize=9)
    handles = [Line2D([], [], color=shade, linestyle=line, linewidth=1.8, label=name)
               for name, shade, line in KINDS.values()]  # fmt: skip
    figure.legend(handles=handles, frameon=False, loc="outside lower center", ncols=len(handles))
    figure.suptitle(title, fontsize=10)
    return figure


def _cell(axes: "Axes", row: Bits) -> None:
    """One cell: arcs between neighbours lie low, longer ones higher, those from the older input below the line."""
    from matplotlib.patches import FancyArrowPatch

    edges = iter(row.reshape(-1, 2).tolist())
    for node, count in enumerate(NODE_EDGES):
        for source in range(count):
            kind = KINDS.get(tuple(next(edges)))
            if kind is None:
                continue
            _, shade, line = kind
            bend = 0.0 if node + 2 - source == 1 else 0.38 if source == 0 else -0.38
            axes.add_patch(
                FancyArrowPatch(
                    (source, 0), (node + 2, 0), connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=10,
                    color=shade, linestyle=line, linewidth=1.2 if line == "--" else 2.0, shrinkA=13, shrinkB=13,
                )
            )  # fmt: skip
    for place, name in enumerate(STATES):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "0.3"}
        axes.text(place, 0, name, ha="center", va="center", fontsize=7, bbox=box, zorder=3)
    axes.set(xlim=(-0.5, 5.5), ylim=(-1.3, 1.3))
    axes.axis("off")
