"""Scores of several models: one against another, or side by side, with their 95% intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.catalog import Catalog
from rbench.errors import MissingError, unknown
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant, runs_option
from rbench.report.plot import MARKERS, Drawing, canvas, colour, marker
from rbench.sheet import collect
from rbench.tables import TableSpec
from rbench.types import Score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Window = tuple[float, float, float, float]
HOLLOW = "hollow: suspect or unreliable"


def scatter(
    catalog: Catalog,
    root: Path,
    *,
    models: tuple[str, ...],
    x: str,
    y: str,
    arrows: tuple[tuple[str, str], ...] = (),
    zoom: Window | None = None,
    inset: Window = (0.04, 0.06, 0.45, 0.5),
) -> Drawing:
    """One score ("suite:score") against another, in %, a mark a model; `arrows` lead from one model to another.

    What lies in the window `zoom` (x from, to, y from, to, in %) is magnified, without intervals, in a frame at
    `inset` (left, bottom, width, height, in shares of the axes). Raises `MissingError` with the commands that make what
    is not there yet.
    """
    sheet = collected(catalog, root, models, (x, y))
    for name in (name for pair in arrows for name in pair):
        if name not in models:
            raise unknown("model", name, models, "arrows")
    across, up = sheet.columns
    figure, (axes,) = canvas(7.6, 4.6 + 0.2 * -(-len(models) // 2))
    where = {m: (100 * _score(sheet, m, across).value, 100 * _score(sheet, m, up).value) for m in models}
    for start, end in arrows:
        look = {"arrowstyle": "->", "color": "0.35", "shrinkA": 6, "shrinkB": 6}
        axes.annotate("", where[end], where[start], arrowprops=look)
    for index, (model, title) in enumerate(sheet.rows):
        right, top = where[model]
        doubted = any(sheet.cells[model, column.key].verdict != "reliable" for column in (across, up))
        axes.errorbar(
            right, top, _bars(_score(sheet, model, up)), _bars(_score(sheet, model, across)), fmt=_mark(index),
            color=colour(index), capsize=2, markersize=6, linewidth=1,
            markerfacecolor="white" if doubted else colour(index),
        )  # fmt: skip
        axes.plot([], [], _mark(index), color=colour(index), label=title)
    if zoom is not None:
        _magnified(axes, zoom, inset)
    axes.set(xlabel=_label(across, sheet), ylabel=_label(up, sheet))
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle("\n".join((*sheet.protocol, f"95% intervals; {HOLLOW}")), fontsize=8)
    return Drawing(figure, _frame(sheet))


def dots(catalog: Catalog, root: Path, *, models: tuple[str, ...], scores: tuple[str, ...]) -> Drawing:
    """Scores ("suite:score") of models side by side, in %: a row a model, a mark a score.

    Raises `MissingError` with the commands that make what is not there yet.
    """
    sheet = collected(catalog, root, models, scores)
    figure, (axes,) = canvas(7.6, 1.6 + 0.45 * len(models))
    places = np.arange(len(models))[::-1]
    for index, column in enumerate(sheet.columns):
        for place, model in zip(places, models, strict=True):
            score = _score(sheet, model, column)
            height = place + 0.5 * (0.5 - (index + 0.5) / len(sheet.columns))
            doubted = sheet.cells[model, column.key].verdict != "reliable"
            axes.errorbar(
                100 * score.value, height, xerr=_bars(score), fmt=marker(index), color=colour(index), capsize=2,
                markersize=5, linewidth=1.4, markerfacecolor="white" if doubted else colour(index),
            )  # fmt: skip
    _rows(axes, sheet, places)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.suptitle("\n".join((*sheet.protocol, f"95% intervals; {HOLLOW}")), fontsize=8)
    return Drawing(figure, _frame(sheet))


def collected(catalog: Catalog, root: Path, models: Sequence[str], scores: Sequence[str]) -> Sheet:
    """The sheet of models by scores; raises `MissingError` with the commands that fill it if a cell is empty."""
    sheet = collect(
        catalog, TableSpec("figure", "", tuple(scores), tuple(models)), root, Variant(options=runs_option(root))
    )
    lacking = dict.fromkeys(cell.missing for cell in sheet.cells.values() if cell.missing)
    if lacking:
        raise MissingError("nothing is drawn of half the runs; make what is missing:\n" + "\n".join(lacking))
    undefined = {(*key, cell.undefined) for key, cell in sheet.cells.items() if cell.score is None}
    if undefined:
        model, column, why = min(undefined)
        raise MissingError(f"{column} of {model} has no value: {why}; leave that model out of the figure.")
    return sheet


def _rows(axes: "Axes", sheet: Sheet, places: "np.ndarray[Any, Any]") -> None:
    axes.set_yticks(places, [title for _, title in sheet.rows], fontsize=9)
    axes.set(ylim=(-0.6, len(sheet.rows) - 0.4), xlabel="%")
    for index, column in enumerate(sheet.columns):
        axes.plot([], [], marker(index), color=colour(index), label=_label(column, sheet))


def _magnified(axes: "Axes", zoom: Window, frame: Window) -> None:
    """A frame with the marks of the axes that lie in a window, which two lines lead to."""
    left, right, low, high = zoom
    inner = axes.inset_axes(frame, xlim=(left, right), ylim=(low, high))
    inner.tick_params(labelsize=8)
    inner.grid(alpha=0.3)
    for drawn in axes.containers:
        mark = drawn[0]
        inner.plot(
            *mark.get_data(), mark.get_marker(), color=mark.get_color(), markersize=8,
            markerfacecolor=mark.get_markerfacecolor(),
        )  # fmt: skip
    axes.indicate_inset_zoom(inner, edgecolor="0.35")


def _score(sheet: Sheet, model: str, column: Column) -> Score:
    score = sheet.cells[model, column.key].score
    assert score is not None  # noqa: S101 - `collected` has refused empty cells
    return score


def _bars(score: Score) -> "np.ndarray[Any, np.dtype[np.float64]]":
    low, high = score.interval
    return 100 * np.maximum([[score.value - low], [high - score.value]], 0.0)


def _mark(index: int) -> str:
    """Markers change when colours come again."""
    return MARKERS[(index + index // len(MARKERS)) % len(MARKERS)]


def _label(column: Column, sheet: Sheet) -> str:
    """A score's title, with an arrow to the better side, and its suite where others are shown, too."""
    arrow = {True: " \N{UPWARDS ARROW}", False: " \N{DOWNWARDS ARROW}", None: ""}[column.higher_is_better]
    suites = {each.key.partition(":")[0] for each in sheet.columns}
    of = f", {column.key.partition(':')[0]}" if len(suites) > 1 else ""
    return f"{column.title}{of} (%){arrow}"


def _frame(sheet: Sheet) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for model, title in sheet.rows:
        for column in sheet.columns:
            cell: Cell = sheet.cells[model, column.key]
            score = _score(sheet, model, column)
            low, high = score.interval
            values: Mapping[str, object] = {"value": score.value, "low": low, "high": high, "n": score.n}
            rows.append({"model": model, "title": title, "score": column.key, **values, "verdict": cell.verdict})
    return pd.DataFrame(rows)
