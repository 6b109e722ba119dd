"""How models err under each corruption at each severity: a heat map a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.planner import Variant
from rbench.report.charts.stored import stored
from rbench.report.plot import Drawing
from rbench.types import Outcomes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DARK = 0.55  # of the largest error: shades below it take white letters


def heat(catalog: Catalog, root: Path, *, suite: str, models: tuple[str, ...]) -> Drawing:
    """The error in % of each model, corruption and severity, numbers in their shades, which all models share.

    Raises `UsageError` for a suite without corruptions, `MissingError` for runs that are not there yet.
    """
    spec = catalog.suite(suite)
    probes = tuple(p.name for p in spec.probes if p.data is not None and "corruption" in p.data.args)
    if not probes:
        raise UsageError(f"suite {suite!r} has no corruption; name one like digits-c.")
    found = stored(catalog, root, spec, models, probes, Variant())
    frame = _frame([row for model in models for row in _rows(model, found[model])])
    titles = {model: catalog.model(model).title for model in models}
    return Drawing(_drawn(frame, titles, f"{spec.name}@{spec.version}: error in %, by severity"), frame)


def _rows(model: str, evidence: dict[str, Outcomes]) -> Iterator[dict[str, Any]]:
    """A row for each corruption and severity: the share of images that are wrong, and of how many."""
    for corruption, outcomes in evidence.items():
        for severity in sorted(set(outcomes.group.tolist())):
            wrong = ~outcomes.correct[outcomes.group == severity]
            yield {
                "model": model, "corruption": corruption, "severity": severity, "error": float(wrong.mean()),
                "n": len(wrong),
            }  # fmt: skip


def _drawn(frame: "pd.DataFrame", titles: dict[str, str], heading: str) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 2.3 * len(titles), 1.2 + 0.26 * frame.corruption.nunique()), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    most = 100 * float(frame.error.max()) or 1.0
    for axes, (model, title) in zip(panels, titles.items(), strict=True):
        _panel(axes, frame[frame.model == model], title, most)
    figure.suptitle(f"{heading}; n = {_count(frame)} a cell", fontsize=9)
    return figure


def _panel(axes: "Axes", own: "pd.DataFrame", title: str, most: float) -> None:
    errors = 100 * own.pivot_table(index="corruption", columns="severity", values="error", sort=False)
    axes.imshow(errors.to_numpy(), cmap="cividis", vmin=0, vmax=most, aspect="auto")
    for row, values in enumerate(errors.to_numpy()):
        for place, value in enumerate(values):
            shade = "white" if value < DARK * most else "black"
            axes.text(place, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=shade)
    mean = errors.to_numpy().mean()
    axes.set_title(f"{title}\nmean {mean:.1f}", fontsize=8)
    axes.set_xticks(range(errors.shape[1]), [str(name) for name in errors.columns], fontsize=7)
    axes.set_yticks(range(len(errors)), [str(name) for name in errors.index], fontsize=7)
    axes.set_xlabel("severity", fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _count(frame: "pd.DataFrame") -> str:
    counts = sorted(set(frame.n))
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _frame(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows)
