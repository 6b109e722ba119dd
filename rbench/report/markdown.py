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

BOLD = {"github": ("**", "**"), "simple": ("", ""), "html": ("\1", "\2")}
BREAK = {"simple": "\n", "html": "\3"}
TAGS = str.maketrans({"\1": "<strong>", "\2": "</strong>", "\3": "<br>"})  # put in once tabulate has escaped the texts


def markdown(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet as a Markdown table with the best of what is not in doubt in bold, protocol above, footnotes below."""
    return _document(sheet, "github", chosen(sheet, columns))


def terminal(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet for the terminal; a single model is turned into a column, which fits every window."""
    kinds = chosen(sheet, columns)
    single = len(sheet.rows) == 1 and not sheet.laid_out and kinds == ("measured",)
    return _single(sheet) if single else _document(sheet, "simple", kinds)


def html(sheet: Sheet, columns: str | None = None) -> str:
    """A sheet as an HTML table for a page of one's own, the best of what is not in doubt in bold; text is escaped."""
    return _document(sheet, "html", chosen(sheet, columns))


def _document(sheet: Sheet, style: str, kinds: tuple[Numbers, ...]) -> str:
    sheet = bare(sheet, kinds)
    best = {(c.key, kind): ranks(sheet, c, kind) for c in sheet.columns for kind in kinds}
    stubs = _stubs(sheet, kinds)
    head = [*stubs, *(heading(sheet, column.key) for column in sheet.columns)]
    body, before = [], ""
    for line in lines(sheet, kinds):
        first = [best[c.key, line.numbers].get(line.row) == 1 for c in sheet.columns]
        cells = [
            _text(sheet, line, c, BOLD[style] if leads else ("", ""))
            for c, leads in zip(sheet.columns, first, strict=True)
        ]
        body.append([*_stub(sheet, line, before, style, len(kinds) > 1), *cells])
        before = line.group
    if detailed(sheet):
        upper = [t for title, group in spans(sheet) for t in (title, *[title * (style == "html")] * (len(group) - 1))]
        lower = [lower_heading(sheet, column) for column in sheet.columns]
        if style in BREAK:
            head = [*stubs, *(BREAK[style].join(pair) for pair in zip(upper, lower, strict=True))]
        else:
            head, body = [*stubs, *upper], [[*[""] * len(stubs), *lower], *body]
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
    above, below = [sheet.title, *sheet.protocol, legend(sheet, kinds)], [*verdicts(sheet), *footnotes(sheet)]
    before, after = ([f"<p>{escape(line)}</p>" for line in told] for told in (above, below))
    return "\n".join([*before, grid.translate(TAGS), *after]) + "\n"


def _framed(sheet: Sheet, grid: str, kinds: tuple[Numbers, ...], *, spaced: bool) -> str:
    """Title and protocol above a table, footnotes below; `spaced` puts each into a paragraph of its own."""
    between = "\n\n" if spaced else "\n"
    above = between.join([sheet.title, *sheet.protocol, legend(sheet, kinds)])
    notes = between.join([*verdicts(sheet), *footnotes(sheet)])
    return "\n\n".join([above, grid, *([notes] if notes else [])]) + "\n"


def _text(sheet: Sheet, line: Line, column: Column, bold: tuple[str, str]) -> str:
    cell = sheet.cells[line.row, column.key]
    number = text(cell, line.numbers, column.decimals)
    if not number:
        return "-"
    mark = MARKS[cell.verdict] if line.numbers != "published" else ""
    small = (step(sheet, line, column), beside(cell, line.numbers, column))
    return " ".join(filter(None, (f"{number.join(bold)}{mark}", *small)))
