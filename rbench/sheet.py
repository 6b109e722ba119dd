"""Store and specs to scores of models by columns, and what is missing; pure but for reading the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path

from rbench.captions import attributed, compared_with, origin_of, protocol_of, versions_line, versions_of
from rbench.catalog import Catalog, resolve
from rbench.current import is_current
from rbench.doubt.assess import assess
from rbench.errors import unknown
from rbench.pages import Cell, Column, Sheet
from rbench.places import DIRECTIONS, Place, placed, runs_of, score_of
from rbench.planner import Variant, command, run_folder, table_command
from rbench.reference import baseline_of
from rbench.store import Run
from rbench.tables import TableColumn, TableSpec
from rbench.types import ModelCard, ScoreSpec, Suite, Verdict

ACCURACIES = ("rbench.metrics:accuracy", "rbench.metrics:worst_case")


def table_spec(catalog: Catalog, name: str) -> TableSpec:
    """A table of the shelf; or, by a suite's name, all its scores for every model of its dataset."""
    tables, suites = catalog.files("tables"), catalog.files("suites")
    if name in tables:
        return catalog.table(name)
    if name not in suites:
        raise unknown("table or suite", name, [*tables, *suites])
    suite = catalog.suite(name)
    models = tuple(model for model, card in catalog.cards().items() if card.dataset == suite.dataset)
    return TableSpec(name, suite.title, tuple(f"{name}:{score.name}" for score in suite.scores), models)


def collect(catalog: Catalog, spec: TableSpec, root: Path, variant: Variant) -> Sheet:
    """The sheet of a table: a cell for each row and column, filled from the runs under `root`."""
    places = placed(catalog, spec)
    known = {place.suite: variant.apply(catalog.suite(place.suite)) for place in places.values() if place.suite}
    columns = tuple(
        replace(_column(spec, head, known), decimals=_decimals(spec, places, head.key)) for head in spec.heads
    )
    runs = {run: _row(catalog, known[run[0]], run[1], root, variant) for run in runs_of(places)}
    totals: dict[str, int] = {}
    origins: dict[str, list[str]] = {}
    relative = {suite for suite, score in _scores(places, known) if _relative(known[suite], score)}
    for (suite, model), row in runs.items():
        totals[suite] = max(row.total, totals.get(suite, 0))
        for line in (*row.origin, *(row.compared if suite in relative else ())):
            origins.setdefault(line, []).append(model)
    protocol = (protocol_of(suite, variant, totals.get(name, 0)) for name, suite in known.items())
    return Sheet(
        spec.name,
        spec.title,
        (*protocol, *attributed(origins), *versions_line(row.versions for row in runs.values())),
        tuple((line.key, line.title or catalog.model(line.model).title) for line in spec.lines),
        columns,
        {key: _cell(place, runs) for key, place in places.items()},
        {(model, suite): row.verdict for (suite, model), row in runs.items() if row.verdict is not None},
        groups={line.key: line.group for line in spec.lines if line.group},
        versus={line.key: spec.rival(line) for line in spec.lines if line.versus},
        notes=spec.notes,
        laid_out=bool(spec.rows),
        fill=table_command(spec.name, variant),
        ranked=spec.ranked,
    )


def page_of(catalog: Catalog, suite: Suite, model: str, root: Path, variant: Variant) -> Sheet:
    """The sheet of one model of the shelf by a suite as `variant` has it."""
    row = _row(catalog, suite, model, root, variant)
    protocol = (protocol_of(suite, variant, row.total), *row.origin, *row.compared, *versions_line([row.versions]))
    columns = tuple(column_of(suite, score) for score in suite.scores)
    cells = {(model, f"{suite.name}:{name}"): cell for name, cell in row.cells.items()}
    verdicts = {(model, suite.name): row.verdict} if row.verdict is not None else {}
    return Sheet(suite.name, suite.title, protocol, ((model, catalog.model(model).title),), columns, cells, verdicts)


def _cell(place: Place, runs: Mapping[tuple[str, str], "_Row"]) -> Cell:
    cell = runs[place.suite, place.model].cells[place.score] if place.suite else Cell()
    score = cell.score
    if score is not None and place.complement:
        low, high = score.interval
        score = replace(score, value=1 - score.value, interval=(1 - high, 1 - low))
    return replace(cell, score=score, printed=place.printed)


def _decimals(spec: TableSpec, places: Mapping[tuple[str, str], Place], key: str) -> int:
    """The digits that a paper prints in a column (files of its numbers lose the zeros at their end), else one."""
    printed = [place.printed for (_, column), place in places.items() if column == key and spec.rows]
    return max((number.decimals for number in printed if number is not None), default=1)


def _scores(places: Mapping[tuple[str, str], Place], suites: Mapping[str, Suite]) -> list[tuple[str, ScoreSpec]]:
    """The scores that a table shows, with their suites."""
    shown = dict.fromkeys((place.suite, place.score) for place in places.values() if place.suite)
    return [(suite, score_of(suites[suite], name, "a table")) for suite, name in shown]


def _column(spec: TableSpec, head: TableColumn, suites: Mapping[str, Suite]) -> Column:
    """A column of a table: a score's, under the table's own headings where it has any, or a paper's."""
    if not head.score:
        return Column(head.key, head.title, DIRECTIONS[head.better], head.group, versus=head.versus)
    suite, _, name = head.score.partition(":")
    column = column_of(suites[suite], score_of(suites[suite], name, f"table {spec.name!r}"))
    return replace(column, title=head.title or column.title, group=head.group or column.group, versus=head.versus)


def column_of(suite: Suite, score: ScoreSpec) -> Column:
    """A score of a suite as the column of a table."""
    title = score.title or score.name
    key, group = f"{suite.name}:{score.name}", score.group
    accuracy = score.use in ACCURACIES
    return Column(
        key, title, score.higher_is_better, group, _relative(suite, score), detail=bool(group), accuracy=accuracy
    )


def _relative(suite: Suite, score: ScoreSpec) -> bool:
    """Whether a score compares with the suite's baseline."""
    return bool(suite.baseline) and "baseline" in signature(resolve(score.use)).parameters


@dataclass(frozen=True)
class _Row:
    """The cells of one model and suite, the size of the whole dataset (0 if nothing has run), verdict and origin.

    `compared` says what relative scores compare with, `versions` what the run was made with.
    """

    cells: Mapping[str, Cell]
    total: int = 0
    verdict: Verdict | None = None
    origin: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


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
    compared = compared_with(suite, baseline)
    return _Row(cells, total, found.shown, origin_of(suite, manifest), compared, versions_of(run))


def claiming(card: ModelCard | None, variant: Variant) -> ModelCard | None:
    """The card whose claims are about this evaluation: none, if the user names other weights."""
    return card if variant.weights_file is None else None
