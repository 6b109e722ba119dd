"""Figures of a search: density, operations, direct edges, FSP distances, and drawings of cells."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rbench.candidates import NODE_EDGES, Search, read
from rbench.findings import enough, linear, thirds
from rbench.report.drawings import drawn
from rbench.report.plot import canvas, colour, marker
from rbench.report.searches import averaged

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SPAN = 50  # the largest value by the least: on a narrower logarithmic axis 2 and 5 have ticks beside powers of ten


def drawings(search: Search, frame: "pd.DataFrame") -> "dict[str, Callable[[], Figure]]":
    """The figures of a search by name, and how to make each; their data are `frame`, a row a candidate."""
    tuned = frame[frame.robust.notna()]
    made: dict[str, Callable[[], Figure]] = {
        "density": partial(_density, search, tuned),
        "direct": partial(_direct, search, tuned),
        "fsp": partial(_fsp, search, tuned),
        "best-cells": partial(_best, search, tuned),
    }
    if enough(len(tuned), search.share):
        made["operations"] = partial(_operations, search, tuned)
    return dict(sorted(made.items()))


def _density(search: Search, tuned: "pd.DataFrame") -> "Figure":
    """Robust and clean accuracy of each candidate against its density."""
    figure, (axes,) = canvas(5.2, 3.8)
    for index, name in enumerate(("clean", "robust")):
        axes.plot(tuned.density, 100 * tuned[name], marker(index), color=colour(index), markersize=4, alpha=0.7,
                  label=name)  # fmt: skip
    axes.set(xlabel="density: share of operations", ylabel="held-out accuracy (%)", title=search.title)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    return figure


def _direct(search: Search, tuned: "pd.DataFrame") -> "Figure":
    """Robust accuracy against direct convolutions, one panel for each third of budgets."""
    figure, axes = canvas(9.6, 3.4, columns=3)
    third = thirds(tuned.convolutions)
    random = np.random.default_rng(0)
    for place, (each, budget) in enumerate(zip(axes, ("few", "some", "many"), strict=True)):
        own = tuned[third == place]
        spread = random.uniform(-0.12, 0.12, len(own)) if own.direct.nunique() < 6 else 0.0
        each.plot(own.direct + spread, 100 * own.robust, marker(place), color=colour(place), markersize=4, alpha=0.7)
        span = f"{own.convolutions.min():.1f} to {own.convolutions.max():.1f}" if len(own) else "none"
        each.set(title=f"{budget} convolutions: {span}", xlabel="of these on direct edges", xlim=(-0.3, 4.3))
        each.sharey(axes[0])
    axes[0].set_ylabel("held-out robust accuracy (%)")
    figure.suptitle(search.title, fontsize=9)
    return figure


def _fsp(search: Search, tuned: "pd.DataFrame") -> "Figure":
    """The gap of accuracies against the FSP distance after fine-tuning, a panel a cell."""
    from matplotlib.ticker import LogLocator

    names = [name for name in map(str, tuned) if name.startswith("fsp_after_")]
    figure, axes = canvas(max(2.6 * len(names), 4), 3.2, columns=len(names))
    for cell, (each, name) in enumerate(zip(axes, names, strict=True)):
        each.plot(tuned[name], 100 * (tuned.clean - tuned.robust), marker(0), color=colour(0), markersize=4, alpha=0.7)
        each.set(title=f"cell {cell}", xlabel="FSP distance", xscale="log")
        each.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _narrow(tuned[name]) else (1,)))
        each.xaxis.set_major_formatter("{x:g}")
        each.xaxis.set_minor_formatter("")
        each.tick_params(axis="x", labelsize=8)
        each.sharey(axes[0])
    axes[0].set_ylabel("clean - robust (points)")
    figure.suptitle(f"{search.title}: after fine-tuning", fontsize=9)
    return figure


def _narrow(values: "pd.Series[float]") -> bool:
    """Whether so few decades would show hardly a power of ten."""
    return bool(values.max() < SPAN * values.min())


def _operations(search: Search, tuned: "pd.DataFrame") -> "Figure":
    """The weights of the linear classifier, an operation each, with bootstrap intervals."""
    found = linear(averaged(tuned), tuned.robust, search.share)
    assert found is not None  # noqa: S101 - there are enough candidates
    figure, (axes,) = canvas(8.4, 3.6)
    ends = ["older", "newer", "n0", "n1", "n2"]
    edges = [f"{ends[source]}-n{node}" for node, count in enumerate(NODE_EDGES) for source in range(count)]
    for index, name in enumerate(("identity", "convolution")):
        own = slice(index, None, 2)
        bars = [found.weights[own] - found.low[own], found.high[own] - found.weights[own]]
        axes.errorbar(
            np.arange(len(edges)) + 0.2 * (index - 0.5), found.weights[own], np.maximum(bars, 0), fmt=marker(index),
            color=colour(index), capsize=2, markersize=4, label=name,
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(edges)), edges, rotation=60, fontsize=8)
    axes.set(ylabel="weight for the top", title=f"{search.title}: linear classifier, {found.n} candidates")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    return figure


def _best(search: Search, tuned: "pd.DataFrame") -> "Figure":
    """The cells of the best candidate."""
    best = tuned.iloc[0]
    return drawn(read(best.cells.split(" | ")), f"{search.title}: candidate {best.candidate}")
