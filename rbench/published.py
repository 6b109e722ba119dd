"""Numbers that papers print, as rows of a file: where they stand, and which card and score measure the same here."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rbench.errors import UsageError, unknown
from rbench.pages import Printed
from rbench.tables import TableColumn, TableRow, TableSpec, Where

FIELDS = ("paper", "table", "dataset", "model", "variant", "threat", "metric")
COMPLEMENT = "1 - "


@dataclass(frozen=True)
class Source:
    """A cell's number in print, and the card and score ("suite:score") that measure it, empty where none do.

    A `complement` is what the paper prints of a share of which the score is the rest: errors, where it is an accuracy.
    """

    printed: Printed | None
    card: str = ""
    score: str = ""
    complement: bool = False


def sources(path: Path, spec: TableSpec, place: str) -> dict[tuple[str, str], Source]:
    """The published number of every cell of a table, by the keys of row and column; cells without one are left out.

    Raises `UsageError`, with `place` in front, for a column that the file lacks, for a value that none of its rows has
    and where two rows fit one cell.
    """
    rows = _rows(path)
    kept = _kept(rows, spec.where, f"{place}: where")
    lines = {line.key: _kept(kept, line.where, f"{place}: row {line.key!r}") for line in spec.lines}
    found = {}
    for head in spec.heads:
        column = {id(row) for row in _kept(kept, head.where, f"{place}: column {head.key!r}")}
        for line in spec.lines:
            fitting = [row for row in lines[line.key] if id(row) in column]
            if len(fitting) > 1:
                raise UsageError(f"{place}: {_several(line, head, fitting)}")
            if fitting:
                found[line.key, head.key] = _source(fitting[0])
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _kept(rows: Sequence[dict[str, str]], where: Where, place: str) -> list[dict[str, str]]:
    """The rows whose fields have the values, or one of the values, of `where`."""
    for key, wanted in where.items():
        if key not in FIELDS:
            raise unknown("column", key, FIELDS, place)
        values = dict.fromkeys(row[key] for row in rows)
        for value in (wanted,) if isinstance(wanted, str) else wanted:
            if value not in values:
                raise unknown(key, value, values, place)
        rows = [row for row in rows if row[key] in ((wanted,) if isinstance(wanted, str) else wanted)]
    return list(rows)


def _several(line: TableRow, head: TableColumn, fitting: Iterable[Mapping[str, str]]) -> str:
    first, second, *_ = fitting
    differing = [key for key in FIELDS if first[key] != second[key]]
    told = ", ".join(f"{key} = {first[key]!r} and {second[key]!r}" for key in differing)
    return f"row {line.key!r}, column {head.key!r}: several published numbers fit ({told}); add to `where`."


def _source(row: Mapping[str, str]) -> Source:
    score = row["score"]
    origin = ", ".join((row["paper"], row["table"]))
    printed = Printed(row["value"], row["unit"], row["note"], origin) if row["value"] else None
    return Source(printed, row["card"], score.removeprefix(COMPLEMENT), score.startswith(COMPLEMENT))
