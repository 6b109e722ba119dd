"""Figures of a study: errors and differences of its arms, and how the trainings converged."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.comparison import Comparison
from rbench.report.plot import Drawing, canvas, colour, marker, percent, style
from rbench.report.sweep_plots import swept
from rbench.trials import Arm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Mapping[str, Sequence[Sequence[Any]]]
"""The epochs of every training: by arm, then seed; each has `epoch`, `clean` and `robust` held-out accuracies."""


def drawings(found: Comparison, rows: Rows) -> dict[str, Callable[[], Drawing]]:
    """The figures of a study by name, and how to make each."""
    study = found.study
    made: dict[str, Callable[[], Drawing]] = {}
    if any(arm.against for arm in study.arms):
        made["differences"] = lambda: Drawing(_differences(found), found.differences_frame)
    for sweep in study.sweeps:
        made[f"sweep-{sweep.name}"] = partial(swept, found, sweep)
    if study.arms:
        made["convergence"] = lambda: Drawing(_convergence(found, rows), _curves(found, rows))
    return dict(sorted(made.items()))


def errors(found: Comparison) -> Drawing:
    """A row for each arm, a mark for each measure: errors in % with their intervals."""
    return Drawing(_errors(found), _errors_frame(found))


def _errors(found: Comparison) -> "Figure":
    arms, measures = found.study.every, found.study.measures
    figure, (axes,) = canvas(7.6, 1.6 + 0.5 * len(arms))
    places = np.arange(len(arms))[::-1]
    for index, measure in enumerate(measures):
        for place, arm in zip(places, arms, strict=True):
            value, ends = found.error(arm.name, measure.name)
            height = place + 0.5 * (0.5 - (index + 0.5) / len(measures))
            axes.plot([100 * end for end in ends], [height] * 2, "-", color=colour(index), linewidth=1.6)
            axes.plot(100 * value, height, marker(index), color=colour(index), markersize=5)
    axes.set_yticks(places, [arm.label for arm in arms], fontsize=9)
    axes.set(ylim=(-0.6, len(arms) - 0.4), xlabel="error (%), 95% intervals over seeds and images")
    for index, measure in enumerate(measures):
        axes.plot([], [], marker(index) + "-", color=colour(index), label=measure.label)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    return figure


def _errors_frame(found: Comparison) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        {"arm": arm.name, "measure": measure.name, **percent(*found.error(arm.name, measure.name))}
        for arm in found.study.every
        for measure in found.study.measures
    ]
    return pd.DataFrame(rows).assign(seeds=len(found.study.seeds))


def _differences(found: Comparison) -> "Figure":
    """A row for each comparison, left the errors of both arms by seed, right their paired difference by measure."""
    pairs = [(arm, other) for arm in found.study.arms for other in arm.against]
    titles = {arm.name: arm.label for arm in found.study.every}
    measures = found.study.measures
    figure, (left, right) = canvas(11, 1.2 + max(0.62, 0.16 * len(measures)) * len(pairs), columns=2)
    places = np.arange(len(pairs))[::-1]
    for place, (arm, other) in zip(places, pairs, strict=True):
        for index, name in enumerate((other, arm.name)):
            _strip(left, found, name, place + 0.17 - 0.34 * index, index)
    for index, measure in enumerate(measures):
        for place, (arm, other) in zip(places, pairs, strict=True):
            gap = found.difference(arm.name, other, measure.name)
            height = place + 0.25 - 0.5 * (index + 0.5) / len(measures)
            low, high = (100 * end for end in gap.interval)
            right.plot([low, high], [height] * 2, "-", color=colour(index), linewidth=2)
            right.plot(100 * gap.value, height, marker(index), color=colour(index), markersize=6)
    right.axvline(0, color="black", linewidth=0.8)
    left.set_yticks(places, [f"{titles[arm.name]}\nagainst {titles[other]}" for arm, other in pairs], fontsize=9)
    right.set_yticks(places, [""] * len(places))
    for axes in (left, right):
        axes.set_ylim(-0.6, len(pairs) - 0.4)
    left.set(xlabel="error (%), a mark a seed", title=f"{found.study.shown.label}: 95% intervals")
    right.set(xlabel="difference in error (points; left of 0 is better)", title="paired differences, 95% intervals")
    _legend(left, [("compared with", 0), ("the arm", 1)])
    _legend(right, [(measure.label, index) for index, measure in enumerate(measures)])
    return figure


def _strip(axes: "Axes", found: Comparison, arm: str, height: float, index: int) -> None:
    """The error of an arm with its interval, and a small mark for each seed."""
    value, (low, high) = found.error(arm, found.study.first)
    by_seed = 100 * found.errors(arm, found.study.first).mean(1)
    axes.plot([100 * low, 100 * high], [height] * 2, "-", color=colour(index), linewidth=2)
    axes.plot(by_seed, [height] * len(by_seed), "|", color=colour(index), markersize=9)
    axes.plot(100 * value, height, marker(index), color=colour(index), markersize=6)


def _legend(axes: "Axes", entries: Sequence[tuple[str, int]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour(i), marker=marker(i), linewidth=2, label=text) for text, i in entries]
    axes.legend(handles=handles, frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.5, ncols=min(len(handles), 3))  # fmt: skip # noqa: E501


def _convergence(found: Comparison, rows: Rows) -> "Figure":
    """Held-out error by epoch: the mean over seeds, and the span from the best to the worst of them."""
    robust = _measured(rows, found.study.arms)
    figure, axes = canvas(9, 4.2, columns=2 if robust else 1)
    for each, key in zip(axes, ("clean", "robust"), strict=False):
        for index, arm in enumerate(found.study.arms):
            curves = _curve(rows[arm.name], key)
            if curves is None:
                continue
            look = {"color": colour(index), "linestyle": style(index)}
            each.plot(curves.mean(0), linewidth=1.4, label=arm.label, **look)
            each.fill_between(range(curves.shape[1]), curves.min(0), curves.max(0), color=colour(index), alpha=0.08)
        each.set(xlabel="epoch", ylabel="held-out error (%)", title=f"{key}: mean and span of the seeds", yscale="log")
        each.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"], minor=False)
        each.minorticks_off()
    axes[-1].legend(frameon=False, fontsize=8)
    return figure


def _measured(rows: Rows, arms: Sequence[Arm]) -> bool:
    """Whether any training was selected by an attack."""
    return any(_curve(rows[arm.name], "robust") is not None for arm in arms)


def _curve(trainings: Sequence[Sequence[Any]], key: str) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    """Errors in % [seeds, epochs], None where they were not measured; one that ended early stays as it was."""
    values = [[getattr(row, key) for row in training] for training in trainings]
    if any(value is None for training in values for value in training):
        return None
    longest = max(map(len, values))
    values = [[*training, *[training[-1]] * (longest - len(training))] for training in values]
    return 100 * (1 - np.array(values, dtype=np.float64))


def _curves(found: Comparison, rows: Rows) -> "pd.DataFrame":
    """The data of the convergence: a row for each arm, seed and epoch, held-out errors in %."""
    import pandas as pd

    lines = []
    for arm in found.study.arms:
        for seed, training in zip(found.study.seeds, rows[arm.name], strict=True):
            for row in training:
                held_out = {key: _error(getattr(row, key)) for key in ("clean", "robust")}
                lines.append({"arm": arm.name, "seed": seed, "epoch": row.epoch, **held_out})
    return pd.DataFrame(lines)


def _error(accuracy: float | None) -> float | None:
    """The error in %, to four digits: that many the few held-out images bear."""
    return None if accuracy is None else float(f"{100 * (1 - accuracy):.4g}")
