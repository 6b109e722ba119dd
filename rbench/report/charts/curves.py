"""Security curves of several models: one score against eps, with intervals as bands."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.catalog import Catalog
from rbench.curve import Point, Value, attacked, compose, eps_list
from rbench.errors import UsageError, unknown
from rbench.planner import Variant
from rbench.report.charts.stored import stored
from rbench.report.plot import Drawing, canvas, colour, marker, style
from rbench.types import Outcomes, Suite, fraction

if TYPE_CHECKING:
    import pandas as pd


def security(
    catalog: Catalog,
    root: Path,
    *,
    suite: str,
    score: str,
    models: tuple[str, ...],
    eps: str,
    probes: tuple[str, ...] = (),
) -> Drawing:
    """A score of each model at every eps of a list such as "0,8/255,16/255"; a sample that fell stays fallen.

    `probes` are those that the runs asked, all of the suite by default. Raises `MissingError` with the commands for
    runs that are not there yet, `UsageError` for a score that does not vary with eps.
    """
    spec = Variant(probes=probes).apply(catalog.suite(suite))
    known = [each.name for each in attacked(spec)]
    if score not in known:
        raise unknown("score that varies with eps", score, known, f"suite {suite!r}")
    words = eps_list(eps, spec.rules.norm)
    if not [word for word in words if word != "0"]:
        raise UsageError(f"eps = {eps!r} names no eps above 0.")
    points = tuple(Point(word) for word in words)
    asked = {
        word: stored(catalog, root, spec, models, _needed(spec), Variant(eps=word, probes=probes))
        for word in words
        if word != "0"
    }
    found = {model: _values(spec, points, score, {word: asked[word][model] for word in asked}) for model in models}
    frame = _frame(points, found)
    return Drawing(_drawn(catalog, spec, score, points, frame), frame)


def _needed(suite: Suite) -> tuple[str, ...]:
    """The probes that curves are made of: those of scores that vary, and the clean images, which eps = 0 is."""
    of = [name for score in attacked(suite) for name in score.of]
    plain = [probe.name for probe in suite.probes if probe.attack is None and probe.data is None]
    return tuple(dict.fromkeys((*plain, *of)))


def _values(
    suite: Suite, points: tuple[Point, ...], score: str, evidence: dict[str, dict[str, Outcomes]]
) -> list[Value]:
    composed = compose(suite, points, evidence)
    return [composed[point.eps, score] for point in points]


def _drawn(catalog: Catalog, suite: Suite, score: str, points: tuple[Point, ...], frame: "pd.DataFrame") -> Any:
    figure, (axes,) = canvas(6.4, 4.8)
    small = suite.rules.norm == "linf"
    for index, (model, own) in enumerate(frame.groupby("model", sort=False)):
        look = {"color": colour(index), "linestyle": style(index)}
        axes.fill_between(own.radius, 100 * own.low, 100 * own.high, color=colour(index), alpha=0.12, linewidth=0)
        title = catalog.model(str(model)).title
        axes.plot(own.radius, 100 * own.value, marker=marker(index), markersize=5, linewidth=1.6, label=title, **look)
    ticks = [(point.radius, f"{255 * point.radius:.3g}" if small else f"{point.radius:.3g}") for point in points]
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    norm = r"$\ell_\infty$, in 1/255" if small else r"$\ell_2$"
    title = next(each.title or each.name for each in suite.scores if each.name == score)
    axes.set(xlabel=rf"$\epsilon$ ({norm})", ylabel=f"{title}: accuracy (%)", ylim=(-2, 102))
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(f"{suite.name}@{suite.version}, n = {frame.n.max()}, 95% intervals", fontsize=9)
    return figure


def _frame(points: tuple[Point, ...], found: dict[str, list[Value]]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for model, values in found.items():
        for point, value in zip(points, values, strict=True):
            low, high = value.score.interval
            shares = {"value": value.score.value, "low": low, "high": high}
            place = {"model": model, "eps": point.eps, "radius": float(fraction(point.eps, "eps"))}
            rows.append({**place, **shares, "n": value.score.n, "corrected": value.corrected})
    return pd.DataFrame(rows)
