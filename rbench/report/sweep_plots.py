"""Figures of a sweep: the error and the cost of training at each value of one key of a recipe."""

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from rbench.comparison import Comparison
from rbench.report.plot import Drawing, canvas, colour, marker, percent
from rbench.trials import Sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADE = 10  # values that span so large a factor stand on a logarithmic axis, or the small ones would lie on each other


def swept(found: Comparison, sweep: Sweep) -> Drawing:
    """The figure of a sweep and its data."""
    return Drawing(_figure(found, sweep), _frame(found, sweep))


def _figure(found: Comparison, sweep: Sweep) -> "Figure":
    """Left the error at each value, beside that of the arm compared with; right the cost of training."""
    figure, (left, right) = canvas(9, 3.9, columns=2)
    against = next(arm.label for arm in found.study.every if arm.name == sweep.against)
    _against(found, sweep, left, against)
    right.axhline(1, color=colour(1), linestyle="--", linewidth=1.4)
    for axes in (left, right):
        _scale(axes, sweep)
    places = _places(sweep)
    order = np.argsort(places)
    errors = [found.error(arm.name, found.study.first) for arm in sweep.arms]
    middle = np.array([100 * value for value, _ in errors])
    bars = np.array([[100 * abs(value - ends[end]) for value, ends in errors] for end in (0, 1)])
    look: dict[str, Any] = {"color": colour(0), "marker": marker(0), "linewidth": 1.6}
    left.errorbar(places[order], middle[order], bars[:, order], capsize=3, label=sweep.title or sweep.key, **look)
    costs = np.array([found.cost(arm) for arm in sweep.arms])
    right.plot(places[order], costs[order], **look)
    left.set(ylabel="error (%)", title=f"{found.study.shown.label}, 95% intervals")
    right.set(title=f"cost, in trainings of {against}", ylim=(0, 1.08 * max(1.0, *costs)))
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    return figure


def _against(found: Comparison, sweep: Sweep, axes: "Axes", label: str) -> None:
    """The arm that all values are compared with: a line and the band of its interval."""
    base, (low, high) = found.error(sweep.against, found.study.first)
    axes.axhspan(100 * low, 100 * high, color=colour(1), alpha=0.12, linewidth=0)
    axes.axhline(100 * base, color=colour(1), linestyle="--", linewidth=1.4, label=label)


def _scale(axes: "Axes", sweep: Sweep) -> None:
    """The axis of the values: to scale if they are numbers, else one place each; every value has its tick."""
    values = sweep.values  # noqa: PD011 - no frame
    if _numbers(values) and min(values) > 0 and max(values) >= DECADE * min(values):
        axes.set_xscale("log")
    axes.set_xticks(_places(sweep), [str(value) for value in values])
    axes.minorticks_off()
    axes.set_xlabel(sweep.title or sweep.key)


def _places(sweep: Sweep) -> "np.ndarray[Any, np.dtype[np.float64]]":
    values = sweep.values  # noqa: PD011 - no frame
    return np.array(values if _numbers(values) else range(len(values)), dtype=np.float64)


def _numbers(values: tuple[Any, ...]) -> TypeGuard[tuple[float, ...]]:
    """Whether all values can stand on an axis; true and false are a choice, not a number."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _frame(found: Comparison, sweep: Sweep) -> "pd.DataFrame":
    """A row for each value: the error in %, and the cost in trainings of the arm compared with."""
    import pandas as pd

    rows = [
        {sweep.name: value, **percent(*found.error(arm.name, found.study.first)), "cost": found.cost(arm)}
        for arm, value in zip(sweep.arms, sweep.values, strict=True)
    ]
    return pd.DataFrame(rows)
