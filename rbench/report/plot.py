"""Security curves as pictures and CSV: robust accuracy against eps, with intervals as bands."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rbench.curve import Curve, Point
from rbench.statistics.intervals import Interval
from rbench.types import ScoreSpec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart; markers and line styles differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES: tuple[Any, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), "-", (0, (8, 2)))
FORMS: tuple[Literal["png"], Literal["pdf"]] = ("png", "pdf")
GAP = 0.14  # of the width of the finite part, between its end and the unbounded point


@dataclass(frozen=True)
class Drawing:
    """A figure and the data that it shows."""

    figure: "Figure"
    frame: "pd.DataFrame"

    def files(self, name: str) -> Mapping[str, bytes]:
        """The contents of PNG, PDF and CSV by file name; the same drawing gives the same bytes."""
        data = self.frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        return {
            f"{name}.png": written(self.figure, "png"),
            f"{name}.pdf": written(self.figure, "pdf"),
            f"{name}.csv": data.encode(),
        }


def curve_files(curve: Curve) -> Mapping[str, bytes]:
    """The contents of curve.png, curve.pdf and curve.csv by file name; the same curve gives the same bytes."""
    return {
        "curve.png": picture(curve, "png"),
        "curve.pdf": picture(curve, "pdf"),
        "curve.csv": curve.frame.to_csv(index=False, lineterminator="\n").encode(),
    }


def picture(curve: Curve, form: Literal["png", "pdf"]) -> bytes:
    """The curve of every score with its 95% intervals; the unbounded point stands apart at the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = _places(curve.points)
    for index, score in enumerate(curve.scores):
        _line(axes, curve, score, places, index)
    _dress(axes, curve, places)
    return written(figure, form)


def _places(points: Sequence[Point]) -> list[float]:
    """Where each point stands on the axis: at its radius, the unbounded ones just right of the others."""
    finite = [point.radius for point in points if not point.unbounded]
    end = max(finite, default=0.0) or 1.0
    apart = iter(end * (1 + GAP * (1 + index)) for index in range(len(points)))
    return [next(apart) if point.unbounded else point.radius for point in points]


def _line(axes: "Axes", curve: Curve, score: ScoreSpec, places: Sequence[float], index: int) -> None:
    """One score: a band and a line where eps is to scale, a dotted way to open markers with bars where it is not."""
    values = [curve.values[point.eps, score.name].score for point in curve.points]  # noqa: PD011 - no frame
    middle = [100 * value.value for value in values]
    low, high = ([100 * value.interval[end] for value in values] for end in (0, 1))
    finite = sum(not point.unbounded for point in curve.points)
    shade, mark = colour(index), marker(index)
    size = max(6.5 - 0.7 * index, 3.0)  # so that equal curves show beneath others
    axes.fill_between(places[:finite], low[:finite], high[:finite], color=shade, alpha=0.15, linewidth=0)
    axes.plot(
        places[:finite], middle[:finite], linestyle=style(index), marker=mark, markersize=size, color=shade,
        linewidth=1.6, label=score.title or score.name,
    )  # fmt: skip
    aside = _aside(index, len(curve.scores)) * _end(curve, places)
    beyond = [place + aside for place in places[finite:]]
    axes.plot([*places[:finite][-1:], *beyond], middle[max(finite - 1, 0) :], ":", color=shade, linewidth=1.0)
    for place, value, least, most in zip(beyond, middle[finite:], low[finite:], high[finite:], strict=True):
        bars = [[max(value - least, 0)], [max(most - value, 0)]]
        axes.errorbar(place, value, bars, color=shade, marker=mark, markersize=6, markerfacecolor="white", capsize=2.5)


def _aside(index: int, count: int) -> float:
    """How far the unbounded marker of a score stands from the middle, lest they cover each other."""
    return GAP * 0.6 * ((index + 0.5) / count - 0.5)


def _end(curve: Curve, places: Sequence[float]) -> float:
    """The largest eps that is to scale, or 1 if there is none but 0."""
    finite = [place for place, point in zip(places, curve.points, strict=True) if not point.unbounded]
    return max(finite, default=0.0) or 1.0


def _dress(axes: "Axes", curve: Curve, places: Sequence[float]) -> None:
    """Axes in the units in which papers write eps, and a shade behind what is not to scale."""
    small = curve.suite.rules.norm == "linf"
    norm = r"$\ell_\infty$" if small else r"$\ell_2$"
    axes.set(
        xlabel=rf"$\epsilon$ ({norm}" + (", in 1/255)" if small else ")"),
        ylabel="accuracy (%)",
        ylim=(-2, 102),
        title=f"{curve.model}, {curve.suite.name}",
    )
    finite = [place for place, point in zip(places, curve.points, strict=True) if not point.unbounded]
    ticks = [(place, _tick(place, small)) for place in finite]
    apart = [(place, point) for place, point in zip(places, curve.points, strict=True) if point.unbounded]
    ticks += [(place, rf"$\epsilon$ = {point.eps}" + "\n(unbounded)") for place, point in apart]
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    end = _end(curve, places)
    axes.axvspan(end * (1 + GAP / 2), places[-1] + end * GAP / 2, color="0.94", zorder=0)
    axes.set_xlim(min(places) - 0.03 * end, places[-1] + end * GAP / 2)
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title=_samples(curve), alignment="left")


def _tick(place: float, small: bool) -> str:
    return f"{255 * place:.3g}" if small else f"{place:.3g}"


def _samples(curve: Curve) -> str:
    counts = {value.score.n for value in curve.values.values()}  # noqa: PD011 - no frame
    return f"n = {counts.pop()}, 95% intervals" if len(counts) == 1 else "95% intervals"


def colour(index: int) -> str:
    """The colour of a line by its number; they come again after seven."""
    return COLOURS[index % len(COLOURS)]


def shade(index: int, count: int) -> str:
    """The colour of one of `count` lines that have an order, from dark to light; the colour-blind see it, too."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](0.9 * index / max(count - 1, 1)))


def marker(index: int) -> str:
    """The marker of a line by its number."""
    return MARKERS[index % len(MARKERS)]


def style(index: int) -> Any:
    """The style of a line by its number."""
    return STYLES[index % len(STYLES)]


def canvas(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """An empty figure of so many inches, with axes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, index + 1) for index in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(visible=True, alpha=0.3)
    return figure, axes


def percent(value: float, interval: Interval) -> dict[str, float]:
    """An error with its interval, fractions, as cells of data in %."""
    return {"error": 100 * value, "low": 100 * interval.low, "high": 100 * interval.high}


def written(figure: "Figure", form: Literal["png", "pdf"]) -> bytes:
    """A figure as a file; the same one gives the same bytes."""
    sink = io.BytesIO()
    undated = {"CreationDate": None} if form == "pdf" else {}
    figure.savefig(sink, format=form, dpi=160, metadata=undated)
    return sink.getvalue()
