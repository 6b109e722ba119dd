"""Store and specs to scores of models by columns, and what is missing; pure but for reading the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from rbench.assess import assess
from rbench.catalog import Catalog, resolve
from rbench.current import is_current
from rbench.errors import unknown
from rbench.metrics.baseline import Baseline
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant, command, run_folder
from rbench.reference import baseline_of
from rbench.store import Run
from rbench.types import ModelCard, ScoreSpec, Suite, TableSpec, Verdict

NORMS = {"linf": "L-inf", "l2": "L2"}


def table_spec(catalog: Catalog, name: str) -> TableSpec:
    """A table of the shelf; or, by a suite's name, all its scores for every model of its dataset."""
    tables, suites = catalog.files("tables"), catalog.files("suites")
    if name in tables:
        return catalog.table(name)
    if name not in suites:
        raise unknown("table or suite", name, [*tables, *suites])
    suite = catalog.suite(name)
    models = [model for model, card in catalog.cards().items() if card.dataset == suite.dataset]
    return TableSpec(name, suite.title, tuple(models), tuple(f"{name}:{score.name}" for score in suite.scores))


def collect(catalog: Catalog, spec: TableSpec, root: Path, variant: Variant) -> Sheet:
    """The sheet of a table: a cell for each model and column, filled from the runs under `root`."""
    suites: dict[str, Suite] = {}
    columns = []
    for key in spec.columns:
        suite_name, _, score_name = key.partition(":")
        suite = suites.setdefault(suite_name, variant.apply(catalog.suite(suite_name)))
        score = next((s for s in suite.scores if s.name == score_name), None)
        if score is None:
            raise unknown("score", score_name, [s.name for s in suite.scores], f"table {spec.name!r}: {key!r}")
        columns.append(column_of(suite, score))
    cells: dict[tuple[str, str], Cell] = {}
    totals: dict[str, int] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    origins: dict[str, list[str]] = {}
    for model in spec.models:
        for suite in suites.values():
            row = _row(catalog, suite, model, root, variant)
            totals[suite.name] = max(row.total, totals.get(suite.name, 0))
            cells.update({(model, f"{suite.name}:{name}"): cell for name, cell in row.cells.items()})
            verdicts.update({(model, suite.name): row.verdict} if row.verdict is not None else {})
            for line in row.origin:
                origins.setdefault(line, []).append(model)
    rows = tuple((model, catalog.model(model).title) for model in spec.models)
    protocol = (protocol_of(suite, variant, totals[suite.name]) for suite in suites.values())
    return Sheet(spec.name, spec.title, (*protocol, *_attributed(origins)), rows, tuple(columns), cells, verdicts)


def _attributed(origins: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines about the origin of numbers; one that does not hold for all models that have any names its own."""
    every = {model for models in origins.values() for model in models}
    return [line if set(models) == every else f"{line} ({', '.join(models)})" for line, models in origins.items()]


def column_of(suite: Suite, score: ScoreSpec) -> Column:
    """A score of a suite as the column of a table."""
    title = score.title or score.name
    relative = bool(suite.baseline) and "baseline" in signature(resolve(score.use)).parameters
    return Column(f"{suite.name}:{score.name}", title, score.higher_is_better, score.group, relative)


@dataclass(frozen=True)
class _Row:
    """The cells of one model and suite, the size of the whole dataset (0 if nothing has run), verdict and origin."""

    cells: Mapping[str, Cell]
    total: int = 0
    verdict: Verdict | None = None
    origin: tuple[str, ...] = ()


def _row(catalog: Catalog, suite: Suite, model: str, root: Path, variant: Variant) -> _Row:
    run = Run(run_folder(root, suite.name, model, variant))
    fill = command(suite.name, model, variant)
    manifest = run.manifest()
    if manifest is not None and not is_current(catalog, suite, model, manifest, variant):
        manifest, fill = None, f"{fill} --fresh"
    if manifest is None:
        return _Row({score.name: Cell(missing=fill) for score in suite.scores})
    total = int(manifest["total"])
    baseline = baseline_of(catalog, suite, root, variant, manifest)
    found = assess(suite, run, claiming(catalog.model(model), variant), baseline)
    reasons = found.undefined
    cells = {
        name: Cell(score, total, "" if score or name in reasons else fill, reasons.get(name, ""))
        for name, score in found.scores.items()
    }
    return _Row(cells, total, found.shown, origin_of(suite, manifest, baseline))


def claiming(card: ModelCard | None, variant: Variant) -> ModelCard | None:
    """The card whose claims are about this evaluation: none, if the user names other weights."""
    return card if variant.weights_file is None else None


def origin_of(suite: Suite, manifest: Mapping[str, Any], baseline: Baseline | None) -> tuple[str, ...]:
    """Where the images of a run's views come from and what its scores compare with, as lines of a caption."""
    views = list(manifest.get("views", {}).values())
    keys = dict.fromkeys(key for view in views for key in view if key not in ("digest", "corruption"))
    facts = [f"{key} = {', '.join(dict.fromkeys(str(view[key]) for view in views if key in view))}" for key in keys]
    lines = [f"{suite.name}: {'; '.join(facts)}"] if facts else []
    if baseline is not None:
        lines.append(f"{suite.name}: relative to {baseline.name} ({baseline.digest[:8]})")
    return tuple(lines)


def protocol_of(suite: Suite, variant: Variant, total: int) -> str:
    """How the numbers of a suite came about, as one line of a caption."""
    n = total if variant.limit is None else min(variant.limit, total)
    count = f"n = {n}" if n == total else f"ONLY THE FIRST {n} OF {total} SAMPLES"
    count = count if total else "nothing run yet"
    threat = suite.threat
    ball = f" {NORMS[threat.norm]}, eps = {threat.eps}," if threat is not None else ""
    return f"{suite.name}@{suite.version}: {suite.dataset},{ball} {count}, seed {variant.seed}"
