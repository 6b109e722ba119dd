"""Tables for people: GitHub's Markdown, the same in a terminal, and HTML."""

from html import escape
from itertools import groupby

from tabulate import tabulate

from rbench.pages import Cell, Column, Sheet
from rbench.report.cells import (
    MARKS,
    arrow,
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
from rbench.report.lines import Line, Numbers, bare, beside, chosen, lines, ranks, step, text


def markdown(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet as a Markdown table with the best of what is not in doubt in bold, protocol above, footnotes below."""
    return _document(sheet, "github", chosen(sheet, columns), bold="**")


def terminal(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet for the terminal; a single model is turned into a column, which fits every window."""
    kinds = chosen(sheet, columns)
    single = len(sheet.rows) == 1 and not sheet.laid_out and kinds == ("measured",)
    return _single(sheet) if single else _document(sheet, "simple", kinds, bold="")


def html(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet as an HTML table for a page of one's own; text is escaped."""
    return _document(sheet, "html", chosen(sheet, columns), bold="")


def _document(sheet: Sheet, style: str, kinds: tuple[Numbers, ...], bold: str) -> str:
    sheet = bare(sheet, kinds)
    best = {(c.key, kind): ranks(sheet, c, kind) for c in sheet.columns for kind in kinds}
    stubs = _stubs(sheet, kinds)
    head = [*stubs, *(heading(sheet, column.key) for column in sheet.columns)]
    body, before = [], ""
    for line in lines(sheet, kinds):
        cells = [
            _text(sheet, line, c, bold if best[c.key, line.numbers].get(line.row) == 1 else "") for c in sheet.columns
        ]
        body.append([*_stub(sheet, line, before, style, len(kinds) > 1), *cells])
        before = line.group
    if detailed(sheet):
        upper = [*stubs, *(t for title, group in spans(sheet) for t in (title, *[""] * (len(group) - 1)))]
        lower = [*[""] * len(stubs), *(lower_heading(sheet, column) for column in sheet.columns)]
        if style != "simple":  # whose headings are one line
            head, body = upper, [lower, *body]
        else:
            head = [f"{high}\n{low}" for high, low in zip(upper, lower, strict=True)]
    grid = tabulate(body, head, tablefmt=style, disable_numparse=True)
    return _paragraphs(sheet, grid, kinds) if style == "html" else _framed(sheet, grid, kinds, spaced=style == "github")


def _stubs(sheet: Sheet, kinds: tuple[Numbers, ...]) -> list[str]:
    """The headings of the columns that name the lines: group, row, and which numbers where there are two kinds."""
    return [*([""] if sheet.groups else []), _rows(sheet), *(["Numbers"] if len(kinds) > 1 else [])]


def _rows(sheet: Sheet) -> str:
    return ("" if sheet.laid_out else "Model") if sheet.rows_are == "model" else sheet.rows_are


def _stub(sheet: Sheet, line: Line, before: str, style: str, several: bool) -> list[str]:
    named = sheet.rows_are == "model" and not sheet.laid_out
    title = _label(line.row, line.title, long=style == "github") if named else line.title
    group = [line.group if line.group != before else ""] if sheet.groups else []
    return [*group, title, *([line.numbers] if several else [])]


def _label(model: str, title: str, *, long: bool) -> str:
    return f"{model}: {title}" if long else model


def _single(sheet: Sheet) -> str:
    model = sheet.rows[0][0]
    body = []
    for group, columns in groupby(sheet.columns, lambda column: column.group):
        body += [[f"{group}:", "", "", "", ""]] if group else []
        body += [_line(sheet.cells[model, column.key], column) for column in columns]
    grid = tabulate(body, [model, "", "value", "95% interval", "n"], tablefmt="simple", disable_numparse=True)
    return _framed(sheet, grid, ("measured",), spaced=False)


def _line(cell: Cell, column: Column) -> list[str]:
    title = f"- {column.title}" if column.group else column.title
    if cell.score is None:
        return [title, arrow(column), "-", "", ""]
    value = percent(cell.score.value) + MARKS[cell.verdict]
    return [title, arrow(column), value, interval(cell.score), str(cell.score.n)]


def _paragraphs(sheet: Sheet, grid: str, kinds: tuple[Numbers, ...]) -> str:
    """A table of HTML between paragraphs: title and protocol above, footnotes below."""
    above, below = ([sheet.title, *sheet.protocol, legend(sheet, kinds)], [*verdicts(sheet), *footnotes(sheet)])
    parts = [*(f"<p>{escape(line)}</p>" for line in above), grid, *(f"<p>{escape(line)}</p>" for line in below)]
    return "\n".join(parts) + "\n"


def _framed(sheet: Sheet, grid: str, kinds: tuple[Numbers, ...], *, spaced: bool) -> str:
    """Title and protocol above a table, footnotes below; `spaced` puts each into a paragraph of its own."""
    between = "\n\n" if spaced else "\n"
    above = between.join([sheet.title, *sheet.protocol, legend(sheet, kinds)])
    notes = between.join([*verdicts(sheet), *footnotes(sheet)])
    return "\n\n".join([above, grid, *([notes] if notes else [])]) + "\n"


def _text(sheet: Sheet, line: Line, column: Column, bold: str) -> str:
    cell = sheet.cells[line.row, column.key]
    number = text(cell, line.numbers, column.decimals)
    if not number:
        return "-"
    mark = MARKS[cell.verdict] if line.numbers != "published" else ""
    small = (step(sheet, line, column), beside(cell, line.numbers, column))
    return " ".join(filter(None, (f"{bold}{number}{bold}{mark}", *small)))
