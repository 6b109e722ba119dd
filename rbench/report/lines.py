"""Rows of sheets as lines of printed tables: measured numbers, those of papers, both, or what is between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from textwrap import wrap
from typing import Literal, get_args

from rbench.errors import unknown
from rbench.pages import Cell, Column, Sheet

Numbers = Literal["measured", "published", "difference"]
TITLE = 26  # letters of a title on the first of two lines
CHOICES = ("measured", "published", "both", "difference")


@dataclass(frozen=True)
class Line:
    """A line of a table: a row of the sheet and which numbers it shows; `group` and `title` head the first of them.

    `below` says that it is the second line of a row, which holds the intervals of the numbers above.
    """

    row: str
    numbers: Numbers
    title: str
    group: str = ""
    below: bool = False


def chosen(sheet: Sheet, columns: str | None) -> tuple[Numbers, ...]:
    """The kinds of numbers that each row shows; both where nobody chose and the sheet has the layout of a paper."""
    choice = columns or ("both" if sheet.laid_out and sheet.printed else "measured")
    if choice not in CHOICES:
        raise unknown("choice of --columns", choice, CHOICES)
    if choice == "both":
        return ("published", "measured")
    return tuple(numbers for numbers in get_args(Numbers) if numbers == choice)


def bare(sheet: Sheet, kinds: tuple[Numbers, ...]) -> Sheet:
    """A sheet without protocols, doubts and commands where papers' numbers are all that is shown."""
    if kinds != ("published",):
        return sheet
    cells = {place: Cell(printed=cell.printed) for place, cell in sheet.cells.items()}
    return replace(sheet, protocol=(), cells=cells, verdicts={}, fill="")


def lines(sheet: Sheet, kinds: tuple[Numbers, ...]) -> Iterator[Line]:
    """The lines of a table, in order."""
    for row, title in sheet.rows:
        for kind in kinds:
            yield Line(row, kind, title, sheet.groups.get(row, ""))


def spread(sheet: Sheet, shown: Iterable[Line], *, several: bool) -> Iterator[Line]:
    """Lines, each with a second one below it for its intervals where it has any.

    A long title takes both, unless `several` kinds of numbers stand beside it.
    """
    for line in shown:
        if not any(beside(sheet.cells[line.row, column.key], line.numbers, column) for column in sheet.columns):
            yield line
            continue
        first, *rest = [line.title] if several else wrap(line.title, TITLE) or [""]
        yield replace(line, title=first)
        yield replace(line, title=line.title if several else " ".join(rest), below=True)


def parts(shown: Sequence[Line], room: int) -> list[list[Line]]:
    """Lines in parts of at most `room`, split between groups, or inside those that do not fit; rows stay whole."""
    found: list[list[Line]] = [[]]
    for _, run in groupby(shown, lambda line: line.group or line.row):
        group = list(run)
        whole = [group] if len(group) <= room else [list(row) for _, row in groupby(group, lambda line: line.row)]
        for block in whole:
            if found[-1] and len(found[-1]) + len(block) > room:
                found.append([])
            found[-1] += block
    return found


def amount(cell: Cell, numbers: Numbers) -> float | None:
    """What a cell shows, in percent or in the unit of the paper; None where there is nothing."""
    score, printed = cell.score, cell.printed
    if numbers == "measured":
        return None if score is None else 100 * score.value
    if numbers == "published":
        return None if printed is None else printed.value
    if score is None or printed is None or printed.unit != "%":
        return None
    return 100 * score.value - printed.value


def text(cell: Cell, numbers: Numbers, decimals: int) -> str:
    """The number of a cell as it is printed, empty where there is none: differences with their sign."""
    value = amount(cell, numbers)
    return "" if value is None else f"{value:{_sign(numbers)}.{decimals}f}"


def bounds(cell: Cell, numbers: Numbers, decimals: int) -> str:
    """The 95% interval of a number, in percent or in points; papers' numbers have none."""
    if cell.score is None or numbers == "published" or amount(cell, numbers) is None:
        return ""
    less = cell.printed.value if numbers == "difference" and cell.printed is not None else 0.0
    low, high = (f"{100 * end - less:{_sign(numbers)}.{decimals}f}" for end in cell.score.interval)
    return f"[{low}, {high}]"


def beside(cell: Cell, numbers: Numbers, column: Column) -> str:
    """The interval that a table shows with a number: details go without."""
    return "" if column.detail else bounds(cell, numbers, column.decimals)


def step(sheet: Sheet, line: Line, column: Column) -> str:
    """The difference to the row that this one is compared with, as "(+0.95)"; empty where there is none to show."""
    other = sheet.versus.get(line.row) if column.versus else None
    if other is None or line.numbers == "difference":
        return ""
    ours, theirs = (amount(sheet.cells[row, column.key], line.numbers) for row in (line.row, other))
    return "" if ours is None or theirs is None else f"({ours - theirs:+.{column.decimals}f})"


def ranks(sheet: Sheet, column: Column, numbers: Numbers) -> dict[str, int]:
    """Row -> 1 where a column has its best printed value and 2 where its second, if there are several to compare.

    Measured numbers in doubt have no place among the others.
    """
    way = column.higher_is_better
    cells = {row: sheet.cells[row, column.key] for row, _ in sheet.rows}
    sure = {row: cell for row, cell in cells.items() if numbers == "published" or cell.verdict == "reliable"}
    shown = {row: text(cell, numbers, column.decimals) for row, cell in sure.items()}
    values = {row: float(value) for row, value in shown.items() if value}
    if not sheet.ranked or sheet.rows_are != "model" or way is None or numbers == "difference" or len(values) < 2:
        return {}
    order = sorted(set(values.values()), reverse=way)
    return {row: order.index(value) + 1 for row, value in values.items() if order.index(value) < 2}


def _sign(numbers: Numbers) -> str:
    return "+" if numbers == "difference" else ""
