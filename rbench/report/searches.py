"""A search as text: its best candidates, and what all of them say of architectures, with intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tabulate import tabulate

from rbench.candidates import Filter, Search, read
from rbench.findings import Estimate, gain, least, linear, rank_correlation, thirds
from rbench.statistics.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
LEGEND = (
    "Accuracies in % of held-out training images, which no candidate was trained on and which are no test images, with "
    "Wilson's 95% intervals. One training seed each: many of the best differ by chance. Correlations are Spearman's, "
    "with 95% bootstrap intervals over candidates; of many intervals some err."
)


def report(
    search: Search, frame: "pd.DataFrame", space: Mapping[str, Any], held_out: int, figures: Sequence[str]
) -> str:
    """The search as Markdown, with links to its figures beside it; `held_out` images judged."""
    tuned = frame[frame.robust.notna()]
    shape = ", ".join(f"{key} = {value}" for key, value in space.items())
    counts = f"{len(frame)} candidates drawn from seed {search.seed}, {len(tuned)} of them fine-tuned; space: {shape}."
    command = f"`rbench search {search.name}` makes this page, its figures and data. `candidates.csv` has every row."
    parts = [f"# {search.title}", counts, LEGEND, command, "## The best and the worst", _table(tuned, held_out)]
    parts += ["## Density and operations", *_density(search, tuned)]
    parts += ["## Direct edges", *_direct(tuned)]
    parts += ["## FSP distance", *_fsp(search, frame, tuned)]
    parts += [f"![{name.partition('.')[0]}]({name})" for name in figures if name.endswith(".png")]
    return "\n\n".join(parts) + "\n"


def _table(tuned: "pd.DataFrame", held_out: int) -> str:
    chosen = list(range(min(SHOWN, len(tuned)))) + list(range(max(SHOWN, len(tuned) - SHOWN), len(tuned)))
    rows = [
        [row.candidate, f"{row.parameters:,}", f"{row.density:.2f}", f"{row.direct:.1f} of {row.convolutions:.1f}",
         _percent(row.clean, held_out), _percent(row.robust, held_out), f"`{row.cells}`"]
        for row in (tuned.iloc[place] for place in chosen)
    ]  # fmt: skip
    head = ["candidate", "parameters", "density", "direct convolutions", "clean", "attacked", "cells"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _percent(share: float, count: int) -> str:
    low, high = wilson(round(share * count), count)
    return f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _density(search: Search, tuned: "pd.DataFrame") -> list[str]:
    """Finding 1: robust accuracy against density, and a linear classifier of the operations."""
    texts = [f"Density and robust accuracy: {said(rank_correlation(tuned.density, tuned.robust))}."]
    found = linear(averaged(tuned), tuned.robust, search.share)
    if found is None:
        return [*texts, "Too few candidates for a linear classifier."]
    clear = int(((found.low > 0) | (found.high < 0)).sum())
    text = (
        f"A linear classifier of the operations tells the top from the bottom {100 * search.share:g}% "
        f"({found.n} candidates) in {100 * found.accuracy:.0f}% of cases by cross-validation; of shuffled labels it "
        f"gets at most {100 * found.chance:.0f}% in 95 of 100 cases. {100 * found.positive:.0f}% of its 28 weights are "
        f"positive; {clear} differ from 0 by their own interval."
    )
    return [*texts, text]


def averaged(tuned: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The operations [n, 28] of each candidate, averaged over its cells."""
    return np.array([read(cells.split(" | ")).mean(0) for cells in tuned.cells])


def _direct(tuned: "pd.DataFrame") -> list[str]:
    """Finding 2: robust accuracy against direct convolutions, for budgets of few, some and many convolutions."""
    third = thirds(tuned.convolutions)
    rows = []
    for place, budget in enumerate(("few", "some", "many")):
        own = tuned[third == place]
        if len(own):
            span = f"{own.convolutions.min():.1f} to {own.convolutions.max():.1f}"
            rows.append([budget, span, len(own), said(rank_correlation(own.direct, own.robust))])
    head = ["convolutions", "a cell", "candidates", "direct ones and robust accuracy"]
    return [tabulate(rows, head, tablefmt="github", disable_numparse=True)]


def _fsp(search: Search, frame: "pd.DataFrame", tuned: "pd.DataFrame") -> list[str]:
    """Finding 3: FSP distance by cell against the gap of accuracies, and what a filter by it wins."""
    gap = tuned.clean - tuned.robust
    cells = [int(name.rpartition("_")[2]) for name in map(str, frame) if name.startswith("fsp_after_")]
    rows = [
        [cell, *(said(rank_correlation(tuned[f"fsp_{when}_{cell}"], gap)) for when in ("before", "after")),
         said(rank_correlation(tuned[f"fsp_before_{cell}"], tuned.robust))]
        for cell in cells
    ]  # fmt: skip
    head = ["cell", "before fine-tuning: with the gap", "after: with the gap", "before: with robust accuracy"]
    table = tabulate(rows, head, tablefmt="github", disable_numparse=True)
    gaps = "The gap is clean less robust accuracy."
    if search.filter is not None:
        deep = ", ".join(map(str, search.filter.cells))
        text = f"Only the {100 * search.filter.keep:g}% of least distance before fine-tuning in cells {deep}"
        return [gaps, table, f"{text}, summed, were fine-tuned."]
    would = Filter(0.25, tuple(cells[-2:]))
    kept = least(tuned[[f"fsp_before_{cell}" for cell in would.cells]].to_numpy(), would.keep)
    won = gain(100 * tuned.robust, kept)
    best = int(tuned.candidate.iloc[0])
    among = "is" if best in tuned.candidate[kept].to_numpy() else "is not"
    low, high = won.interval
    text = (
        "Had only the quarter of least distance before fine-tuning in the last two cells been fine-tuned, their mean "
        f"robust accuracy would be {won.value:+.1f} [{low:+.1f}, {high:+.1f}] points from that of all; the best "
        f"candidate {among} among them."
    )
    return [gaps, table, text]


def said(found: Estimate) -> str:
    """An estimate with its interval."""
    if np.isnan(found.value):
        return "too few or all alike"
    return f"{found.value:+.2f} [{found.interval.low:+.2f}, {found.interval.high:+.2f}]"
