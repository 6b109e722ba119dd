"""Leaderboards: the sheet of a suite and variant, its models ranked, its cells ready to be read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rbench.catalog import Catalog
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant, command
from rbench.report.cells import MARKS, arrow, commands, detailed, doubts, interval, legend, percent, spans, verdicts
from rbench.report.site.found import Found, words
from rbench.sheet import collect, table_spec
from rbench.types import Suite

MEANINGS = {"reliable": "", "suspect": "suspect", "unreliable": "unreliable"}


@dataclass(frozen=True)
class Entry:
    """A cell as a page shows it: `value` (percent) sorts, `order` is that of the command which fills an empty cell."""

    column: Column
    cell: Cell
    order: int = 0

    @property
    def value(self) -> float | None:
        """The score in percent, at full precision."""
        return None if self.cell.score is None else 100 * self.cell.score.value

    @property
    def text(self) -> str:
        """The score as tables print it."""
        return "" if self.cell.score is None else percent(self.cell.score.value)

    @property
    def interval(self) -> str:
        """Its 95% interval."""
        return "" if self.cell.score is None else interval(self.cell.score)

    @property
    def mark(self) -> str:
        """The mark of doubt."""
        return MARKS[self.cell.verdict]

    @property
    def meaning(self) -> str:
        """What the mark says."""
        return MEANINGS[self.cell.verdict]


@dataclass(frozen=True)
class Row:
    """A model with its cells, and whether any of them holds a number."""

    model: str
    title: str
    entries: tuple[Entry, ...]

    @property
    def measured(self) -> bool:
        """Whether any cell holds a number."""
        return any(entry.cell.score is not None for entry in self.entries)

    @property
    def filled(self) -> bool:
        """Whether any cell holds anything: a number, measured or published, or why there can be none."""
        return self.measured or any(entry.cell.undefined or entry.cell.printed for entry in self.entries)

    @property
    def commands(self) -> list[str]:
        """The commands that fill empty cells."""
        return list(dict.fromkeys(entry.cell.missing for entry in self.entries if entry.cell.missing))

    @property
    def stale(self) -> bool:
        """Whether its run is not what an evaluation of today would give."""
        return any(entry.cell.missing.endswith(" --fresh") for entry in self.entries)


@dataclass(frozen=True)
class Board:
    """The leaderboard of one suite and variant; `ranked` is the index of the column that decides."""

    suite: Suite
    variant: Variant
    sheet: Sheet
    rows: tuple[Row, ...]
    ranked: int

    @property
    def key(self) -> str:
        """Its place on a page, made of letters, digits, - and _."""
        return re.sub(r"[^A-Za-z0-9]+", "-", f"{self.suite.name}-{self.variant.folder}")

    @property
    def words(self) -> str:
        """What sets the variant apart."""
        return words(self.variant)

    @property
    def count(self) -> int:
        """How many models have a number."""
        return sum(row.measured for row in self.rows)

    @property
    def stale(self) -> list[str]:
        """The models whose runs are not what an evaluation of today would give."""
        return [row.model for row in self.rows if row.stale]

    @property
    def marked(self) -> bool:
        """Whether any number has a mark of doubt."""
        return any(entry.mark for row in self.rows for entry in row.entries)

    @property
    def index(self) -> dict[str, int]:
        """The place of each column by its key."""
        return {column.key: index for index, column in enumerate(self.sheet.columns)}

    @property
    def detailed(self) -> bool:
        """Whether the headings take two lines."""
        return detailed(self.sheet)

    @property
    def spans(self) -> list[tuple[str, tuple[Column, ...]]]:
        """The upper line of the headings."""
        return spans(self.sheet)

    @property
    def descending(self) -> bool:
        """Whether the column that decides is best at the top from its greatest value down."""
        return self.sheet.columns[self.ranked].higher_is_better is not False

    @property
    def legend(self) -> str:
        """What the numbers are."""
        return legend(self.sheet)

    @property
    def notes(self) -> list[str]:
        """Verdicts, then findings that cast doubt."""
        return [*verdicts(self.sheet), *doubts(self.sheet)]

    @property
    def undefined(self) -> dict[str, list[str]]:
        """Why cells can have no value, with the cells."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            for entry in row.entries:
                if entry.cell.undefined:
                    found.setdefault(entry.cell.undefined, []).append(f"{row.model} {entry.column.title}")
        return found

    @property
    def commands(self) -> list[str]:
        """The commands that fill empty cells."""
        return commands(self.sheet)

    @property
    def printed(self) -> list[str]:
        """Where the published numbers stand."""
        cells = (entry.cell.printed for row in self.rows for entry in row.entries)
        return list(dict.fromkeys(number.source for number in cells if number is not None))

    @property
    def count_of(self) -> dict[str, int]:
        """The number of samples of each column, where all cells agree on one."""
        counts: dict[str, set[int]] = {}
        for row in self.rows:
            for entry in row.entries:
                if entry.cell.score is not None:
                    counts.setdefault(entry.column.key, set()).add(entry.cell.score.n)
        return {key: found.pop() for key, found in counts.items() if len(found) == 1}

    def arrow(self, column: Column) -> str:
        """Which way is better."""
        return arrow(column)

    def row_of(self, model: str) -> Row | None:
        """The row of a model."""
        return next((row for row in self.rows if row.model == model), None)


def boards(catalog: Catalog, found: Found) -> dict[str, list[Board]]:
    """The leaderboards of every suite that has a run, those that hold a number first."""
    every = {name: list(_of_suite(catalog, found.suites[name], found)) for name in found.runs}
    held = {name: sorted(some, key=lambda board: not board.count) for name, some in every.items()}
    return dict(sorted(held.items(), key=lambda item: not any(board.count for board in item[1])))


def not_run(suite: Suite, found: Found) -> list[tuple[str, str]]:
    """The models of a suite's dataset that have no run of the whole suite, and the commands that make one."""
    ran = found.runs[suite.name].get(Variant(), ())
    models = (name for name, card in found.cards.items() if card.dataset == suite.dataset and name not in ran)
    return [(name, command(suite.name, name, Variant())) for name in models]


def _of_suite(catalog: Catalog, whole: Suite, found: Found) -> Iterator[Board]:
    spec = table_spec(catalog, whole.name)
    for variant, models in found.runs[whole.name].items():
        suite = variant.apply(whole)
        if not suite.scores:
            continue
        columns = tuple(f"{suite.name}:{score.name}" for score in suite.scores)
        sheet = collect(catalog, replace(spec, columns=columns, models=models), found.root, variant)
        yield board(suite, variant, sheet)


def board(suite: Suite, variant: Variant, sheet: Sheet) -> Board:
    """A sheet as a leaderboard: ranked by the score that most probes go into, the last of several; empty rows last.

    A score that no model has decides only where none has any; models that lack the one that decides go by the next.
    """
    numbers = {text: index + 1 for index, text in enumerate(commands(sheet))}
    rows = [Row(model, title, tuple(_entries(sheet, model, numbers))) for model, title in sheet.rows]
    weights = [
        (any(row.entries[index].value is not None for row in rows), not column.group, len(score.of), index)
        for index, (column, score) in enumerate(zip(sheet.columns, suite.scores, strict=True))
    ]
    order = [weight[-1] for weight in sorted(weights, reverse=True)]
    signs = [1 if column.higher_is_better is False else -1 for column in sheet.columns]

    def place(row: Row) -> tuple[list[tuple[bool, float]], str]:
        values = [(row.entries[index].value, signs[index]) for index in order]
        return [(value is None, sign * (value or 0.0)) for value, sign in values], row.model

    return Board(suite, variant, sheet, tuple(sorted(rows, key=place)), order[0])


def _entries(sheet: Sheet, model: str, numbers: Mapping[str, int]) -> Iterator[Entry]:
    for column in sheet.columns:
        cell = sheet.cells[model, column.key]
        yield Entry(column, cell, numbers.get(cell.missing, 0))
