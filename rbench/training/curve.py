"""The learning curve of a training as a picture."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rbench.training.history import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart; line styles differ as well.
_BLACK, _ORANGE, _BLUE, _GREEN, _RED = "#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00"


def draw(rows: Sequence[Row], best: Row, title: str) -> bytes:
    """A PNG: losses on the left, accuracies on the right, the best epoch marked in both."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _lines(left, rows, {"loss": ("training", _BLUE, "-"), "distillation": ("distillation of subnets", _ORANGE, "--")})
    left.set(xlabel="epoch", ylabel="loss (nats)", title=title)
    _lines(
        right,
        rows,
        {
            "train": ("training, as seen", _BLUE, "-"),
            "clean": ("held-out, clean", _GREEN, "--"),
            "robust": ("held-out, attacked", _RED, "-"),
            "subnets": ("weak subnets, attacked", _ORANGE, ":"),
        },
    )
    chosen = best.clean if best.robust is None else best.robust
    right.plot(best.epoch, 100 * chosen, "o", color=_BLACK, markerfacecolor="none", markersize=9)
    right.set(
        xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 101), title=f"best: epoch {best.epoch}, {chosen:.1%} held-out"
    )
    for axes in (left, right):
        axes.axvline(best.epoch, color=_BLACK, linewidth=0.8, linestyle=":")
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def _lines(axes: "Axes", rows: Sequence[Row], styles: dict[str, tuple[str, str, str]]) -> None:
    """One line for each key that was measured at all; accuracies in percent."""
    for key, (label, colour, style) in styles.items():
        scale = 1 if key in ("loss", "distillation") else 100
        points = [(row.epoch, getattr(row, key)) for row in rows if getattr(row, key) is not None]
        if any(value for _, value in points):
            epochs, values = zip(*points, strict=True)
            marker = "." if len(points) < len(rows) or len(points) == 1 else ""
            axes.plot(
                epochs, [scale * v for v in values], style, marker=marker, color=colour, linewidth=1.5, label=label
            )
