"""Tables for people: GitHub's Markdown, and the same in a terminal."""

from itertools import groupby

from tabulate import tabulate

from rbench.pages import Cell, Column, Sheet
from rbench.report.cells import (
    MARKS,
    arrow,
    best,
    detailed,
    footnotes,
    heading,
    interval,
    legend,
    lower_heading,
    percent,
    spans,
    verdicts,
)


def markdown(sheet: Sheet) -> str:
    """A sheet as a Markdown table with the best values in bold, its protocol above and its footnotes below."""
    return _document(sheet, "github", bold="**")


def terminal(sheet: Sheet) -> str:
    """A sheet for the terminal; a single model is turned into a column, which fits every window."""
    return _single(sheet) if len(sheet.rows) == 1 else _document(sheet, "simple", bold="")


def _document(sheet: Sheet, style: str, bold: str) -> str:
    winners = {column.key: best(sheet, column.key) for column in sheet.columns}
    models = sheet.rows_are == "model"
    head = ["Model" if models else sheet.rows_are, *(heading(sheet, column.key) for column in sheet.columns)]
    body = []
    for model, title in sheet.rows:
        cells = [
            _text(sheet.cells[model, c.key], bold if model in winners[c.key] else "", detail=bool(c.group))
            for c in sheet.columns
        ]
        body.append([_label(model, title, long=style == "github") if models else title, *cells])
    if detailed(sheet):
        upper = [head[0], *(t for title, columns in spans(sheet) for t in (title, *[""] * (len(columns) - 1)))]
        lower = ["", *(lower_heading(sheet, column) for column in sheet.columns)]
        if style == "github":  # whose headings are one line
            head, body = upper, [lower, *body]
        else:
            head = [f"{high}\n{low}" for high, low in zip(upper, lower, strict=True)]
    grid = tabulate(body, head, tablefmt=style, disable_numparse=True)
    return _framed(sheet, grid, spaced=style == "github")


def _label(model: str, title: str, *, long: bool) -> str:
    return f"{model}: {title}" if long else model


def _single(sheet: Sheet) -> str:
    model = sheet.rows[0][0]
    body = []
    for group, columns in groupby(sheet.columns, lambda column: column.group):
        body += [[f"{group}:", "", "", "", ""]] if group else []
        body += [_line(sheet.cells[model, column.key], column) for column in columns]
    grid = tabulate(body, [model, "", "value", "95% interval", "n"], tablefmt="simple", disable_numparse=True)
    return _framed(sheet, grid, spaced=False)


def _line(cell: Cell, column: Column) -> list[str]:
    title = f"- {column.title}" if column.group else column.title
    if cell.score is None:
        return [title, arrow(column), "-", "", ""]
    value = percent(cell.score.value) + MARKS[cell.verdict]
    return [title, arrow(column), value, interval(cell.score), str(cell.score.n)]


def _framed(sheet: Sheet, grid: str, *, spaced: bool) -> str:
    """Title and protocol above a table, footnotes below; `spaced` puts each into a paragraph of its own."""
    between = "\n\n" if spaced else "\n"
    above = between.join([sheet.title, *sheet.protocol, legend(sheet)])
    notes = between.join([*verdicts(sheet), *footnotes(sheet)])
    return "\n\n".join([above, grid, *([notes] if notes else [])]) + "\n"


def _text(cell: Cell, bold: str, *, detail: bool) -> str:
    if cell.score is None:
        return "-"
    value = f"{bold}{percent(cell.score.value)}{bold}{MARKS[cell.verdict]}"
    return value if detail else f"{value} {interval(cell.score)}"
