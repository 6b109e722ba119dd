"""What all tables share: percentages, marks of the best, headings and footnotes."""

from collections.abc import Iterable

from rbench.types import Cell, Finding, Score, Sheet

DAGGER = "†"
INTERVALS = "Accuracy in %, with Wilson's 95% interval in brackets."


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{100 * share:.1f}"


def interval(score: Score) -> str:
    """The 95% interval of a score in percent, as [low, high]."""
    low, high = score.interval
    return f"[{percent(low)}, {percent(high)}]"


def heading(sheet: Sheet, key: str) -> str:
    """The title of a column with its count of samples, where all its cells agree on one."""
    column = next(c for c in sheet.columns if c.key == key)
    counts = {cell.score.n for (_, k), cell in sheet.cells.items() if k == key and cell.score is not None}
    arrow = "↑" if column.higher_is_better else "↓"
    return f"{column.title} {arrow}" + (f" (n={counts.pop()})" if len(counts) == 1 else "")


def best(sheet: Sheet, key: str) -> set[str]:
    """The rows that print the best value of a column, if there are several rows to compare."""
    column = next(c for c in sheet.columns if c.key == key)
    values = {row: round(100 * cell.score.value, 1) for row, cell in _column(sheet, key) if cell.score is not None}
    if len(values) < 2:
        return set()
    top = max(values.values()) if column.higher_is_better else min(values.values())
    return {row for row, value in values.items() if value == top}


def footnotes(sheet: Sheet) -> list[str]:
    """Findings that cast doubt, each with the cells that it concerns, then the commands that fill empty cells."""
    doubts: dict[Finding, list[str]] = {}
    commands: dict[str, None] = {}
    for model, _ in sheet.rows:
        for column in sheet.columns:
            cell = sheet.cells[model, column.key]
            for finding in _doubts(cell):
                doubts.setdefault(finding, []).append(f"{model} {column.title}")
            if cell.missing:
                commands[cell.missing] = None
    notes = [f"{DAGGER} {', '.join(places)}: {finding.message} ({finding.code})" for finding, places in doubts.items()]
    return notes + [f"To fill an empty cell: {command}" for command in commands]


def _doubts(cell: Cell) -> Iterable[Finding]:
    return (f for f in cell.score.findings if f.level != "info") if cell.score is not None else ()


def _column(sheet: Sheet, key: str) -> list[tuple[str, Cell]]:
    return [(model, sheet.cells[model, key]) for model, _ in sheet.rows]
