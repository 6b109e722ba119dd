"""Tables for people: GitHub's Markdown, and the same in a terminal."""

from tabulate import tabulate

from rbench.pages import Cell, Sheet
from rbench.report.cells import INTERVALS, MARKS, best, footnotes, heading, interval, percent, verdicts


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
            _text(sheet.cells[model, column.key], bold if model in winners[column.key] else "")
            for column in sheet.columns
        ]
        body.append([_label(model, title, long=style == "github") if models else title, *cells])
    grid = tabulate(body, head, tablefmt=style, disable_numparse=True)
    return _framed(sheet, grid, spaced=style == "github")


def _label(model: str, title: str, *, long: bool) -> str:
    return f"{model}: {title}" if long else model


def _single(sheet: Sheet) -> str:
    model = sheet.rows[0][0]
    body = []
    for column in sheet.columns:
        cell = sheet.cells[model, column.key]
        mark = MARKS[cell.verdict]
        arrow = "↑" if column.higher_is_better else "↓"
        if cell.score is None:
            body.append([column.title, arrow, "-", "", ""])
        else:
            body.append(
                [column.title, arrow, percent(cell.score.value) + mark, interval(cell.score), str(cell.score.n)]
            )
    grid = tabulate(body, [model, "", "value", "95% interval", "n"], tablefmt="simple", disable_numparse=True)
    return _framed(sheet, grid, spaced=False)


def _framed(sheet: Sheet, grid: str, *, spaced: bool) -> str:
    """Title and protocol above a table, footnotes below; `spaced` puts each into a paragraph of its own."""
    between = "\n\n" if spaced else "\n"
    above = between.join([sheet.title, *sheet.protocol, INTERVALS])
    notes = between.join([*verdicts(sheet), *footnotes(sheet)])
    return "\n\n".join([above, grid, *([notes] if notes else [])]) + "\n"


def _text(cell: Cell, bold: str) -> str:
    if cell.score is None:
        return "-"
    mark = MARKS[cell.verdict]
    return f"{bold}{percent(cell.score.value)}{bold}{mark} {interval(cell.score)}"
