"""What all tables share: percentages, marks of the best and of doubt, headings, verdicts and footnotes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from rbench.pages import Cell, Column, Sheet
from rbench.types import Finding, Score, Verdict, verdict_of

MARKS: Mapping[Verdict, str] = {"reliable": "", "suspect": "†", "unreliable": "‡"}
ACCURACIES = "Accuracy in %, with Wilson's 95% interval in brackets."
MEANS = "In %, with 95% intervals in brackets: an image counts once, however often it is seen"
PAPERS = "Percentages as a paper prints them"
LESS = "Measured less published, in points; the 95% intervals in brackets take what is published as exact."
KINDS: Mapping[tuple[str, ...], str] = {
    ("published",): f"{PAPERS}.",
    ("measured",): "Measured here, in %, with 95% intervals in brackets.",
    ("published", "measured"): f"{PAPERS}, and those measured here with 95% intervals in brackets.",
    ("difference",): LESS,
}
EXACT = "; baselines count as exact"


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{100 * share:.1f}"


def interval(score: Score) -> str:
    """The 95% interval of a score in percent, as [low, high]."""
    low, high = score.interval
    return f"[{percent(low)}, {percent(high)}]"


def legend(sheet: Sheet, kinds: Sequence[str] = ("measured",)) -> str:
    """What the numbers are: those of a paper, or less those, or accuracies with Wilson's intervals, or other means."""
    if (sheet.laid_out and sheet.printed) or tuple(kinds) != ("measured",):
        return KINDS[tuple(kinds)]
    if all(column.accuracy and column.higher_is_better and not column.detail for column in sheet.columns):
        return ACCURACIES
    return f"{MEANS}{EXACT if any(column.relative for column in sheet.columns) else ''}."


def detailed(sheet: Sheet) -> bool:
    """Whether any column is a detail, so that headings take two lines."""
    return any(column.group for column in sheet.columns)


def spans(sheet: Sheet) -> list[tuple[str, tuple[Column, ...]]]:
    """Columns under the upper line of their headings: neighbours of one suite and group, any other column alone."""
    found = []
    for (group, _), run in groupby(sheet.columns, lambda c: (c.group, c.key.partition(":")[0] if c.group else c.key)):
        columns = tuple(run)
        one_way = len({column.higher_is_better for column in columns}) == 1
        title = group or columns[0].title
        found.append((f"{title} {arrow(columns[0])}".rstrip() if one_way else title, columns))
    return found


def lower_heading(sheet: Sheet, column: Column) -> str:
    """The lower line of a heading: the title of a detail, else the count of samples; an arrow that the upper lacks."""
    if not column.group:
        return _count(sheet, column.key)
    upper = next(title for title, columns in spans(sheet) if column in columns)
    return column.title if upper != column.group else f"{column.title} {arrow(column)}".rstrip()


def heading(sheet: Sheet, key: str) -> str:
    """The title of a column with its count of samples, where all its cells agree on one."""
    column = next(c for c in sheet.columns if c.key == key)
    return f"{column.title} {arrow(column)} {_count(sheet, key)}".rstrip()


def arrow(column: Column) -> str:
    """Which way is better, empty where none is."""
    return {True: "↑", False: "↓", None: ""}[column.higher_is_better]


def footnotes(sheet: Sheet) -> list[str]:
    """Findings that cast doubt, each with the cells that it concerns, then why cells are empty and what fills them."""
    missing = commands(sheet)
    every = [f"To fill all empty cells: {sheet.fill}"] if sheet.fill and len(missing) > 1 else []
    one = [f"To fill an empty cell: {command}" for command in missing]
    return [*sheet.notes, *doubts(sheet), *_undefined(sheet), *every, *one]


def commands(sheet: Sheet) -> list[str]:
    """The commands that fill empty cells, each once."""
    return list(dict.fromkeys(c.missing for model, _ in sheet.rows for _, c in _row(sheet, model) if c.missing))


def _undefined(sheet: Sheet) -> list[str]:
    """A line for each reason why cells can have no value."""
    places: dict[str, dict[str, list[str]]] = {}
    for model, _ in sheet.rows:
        for title, cell in _row(sheet, model):
            if cell.undefined:
                places.setdefault(cell.undefined, {}).setdefault(model, []).append(title)
    return [f"No value, {_where(cells)}: {reason}." for reason, cells in places.items()]


def doubts(sheet: Sheet) -> list[str]:
    """A line for each finding that casts doubt: its mark, the cells that it concerns, what it says and its code."""
    places: dict[Finding, dict[str, list[str]]] = {}
    for model, _ in sheet.rows:
        for title, cell in _row(sheet, model):
            for finding in _doubts(cell):
                places.setdefault(finding, {}).setdefault(model, []).append(title)
    return [
        f"{MARKS[verdict_of([finding])]} {_where(cells)}: {finding.message} [{finding.code}]"
        for finding, cells in places.items()
    ]


def verdicts(sheet: Sheet) -> list[str]:
    """A line for each verdict that was reached, with the models, and where there are several the suites, it is of."""
    several = len({suite for _, suite in sheet.verdicts}) > 1
    lines = []
    for verdict, mark in MARKS.items():
        names = [f"{m} on {s}" if several else m for (m, s), given in sheet.verdicts.items() if given == verdict]
        lines += [f"{f'{mark} ' if mark else ''}{verdict.capitalize()}: {', '.join(names)}."] if names else []
    return lines


def _count(sheet: Sheet, key: str) -> str:
    counts = {cell.score.n for (_, k), cell in sheet.cells.items() if k == key and cell.score is not None}
    return f"(n={counts.pop()})" if len(counts) == 1 else ""


def _doubts(cell: Cell) -> Iterable[Finding]:
    return (f for f in cell.score.findings if f.level != "info") if cell.score is not None else ()


def _where(cells: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{model} {', '.join(titles)}" for model, titles in cells.items())


def _row(sheet: Sheet, model: str) -> list[tuple[str, Cell]]:
    return [(_called(column), sheet.cells[model, column.key]) for column in sheet.columns]


def _called(column: Column) -> str:
    """The title of a column; of one among others of its name, with its group."""
    return f"{column.group} {column.title}" if column.group and not column.detail else column.title
