r"""Tables for papers: LaTeX with booktabs, complete with `\begin{table}`, caption and label."""

from rbench.pages import Column, Sheet
from rbench.report.cells import (
    MARKS,
    commands,
    detailed,
    doubts,
    heading,
    legend,
    lower_heading,
    spans,
    verdicts,
)
from rbench.report.lines import Line, bounds, chosen, lines, ranks, step, text

_ESCAPES = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})
_SYMBOLS = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "L-inf": r"$\ell_\infty$",
    "L2": r"$\ell_2$",
}
NARROW = 3  # columns with intervals that fit one column of a page
_SHRINK = r"""\setlength{\tabcolsep}{3pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
"""


def latex(sheet: Sheet, columns: str | None = None) -> str:
    r"""A sheet as a table that needs `\usepackage{booktabs}`; doubtful values carry one dagger or two.

    The best of a column is bold and, in the layout of a paper, the second best underlined. Details stand without
    intervals. With more than three columns, or headings of groups, a table spans the page. Such tables, and those in
    the layout of a paper, shrink to their width, which needs `\usepackage{graphicx}` too; groups of rows need
    `\usepackage{multirow}`. Comments say what fills empty cells.
    """
    import pandas as pd

    kinds = chosen(sheet, columns)
    order = {(c.key, kind): ranks(sheet, c, kind) for c in sheet.columns for kind in kinds}
    shown = list(lines(sheet, kinds))
    cells = [
        [_text(sheet, line, c, order[c.key, line.numbers].get(line.row, 0)) for c in sheet.columns] for line in shown
    ]
    index = [_stub(sheet, line, several=len(kinds) > 1) for line in shown]
    stubs = len(index[0])
    frame = pd.DataFrame(
        cells,
        index=pd.MultiIndex.from_tuples(index) if stubs > 1 else [title for (title,) in index],
        columns=[_heading(sheet, column) for column in sheet.columns],
    )
    body = frame.style.to_latex(
        hrules=True,
        clines="skip-last;index" if stubs > 1 else None,
        multirow_align="t",
        column_format="l" * stubs + "r" * len(sheet.columns),
        position="t",
        position_float="centering",
        caption=_caption(sheet),
        label=f"tab:{sheet.name}",
        environment="table*" if _wide(sheet) else None,
    )
    body = _ruled(body, stubs)
    packages = ["booktabs", *(["graphicx"] if _fitted(sheet) else []), *(["multirow"] if stubs > 1 else [])]
    needs = " and ".join(rf"\usepackage{{{package}}}" for package in packages)
    todo = "".join(f"% to fill an empty cell: {command}\n" for command in commands(sheet)) if sheet.laid_out else ""
    body = _spanned(body, sheet, stubs) if detailed(sheet) else body
    return f"% needs {needs}\n{todo}{_shrunk(body) if _fitted(sheet) else body}"


def _wide(sheet: Sheet) -> bool:
    """Whether a table needs both columns of a page."""
    return detailed(sheet) or len(sheet.columns) > NARROW


def _fitted(sheet: Sheet) -> bool:
    """Whether a table shrinks to its width: wide ones, and those of papers, whose rows have several names."""
    return _wide(sheet) or sheet.laid_out


def _shrunk(body: str) -> str:
    """A table no wider than its place."""
    return body.replace(r"\begin{tabular}", _SHRINK + r"\begin{tabular}").replace(r"\end{tabular}", r"\end{tabular}}")


def _stub(sheet: Sheet, line: Line, *, several: bool) -> tuple[str, ...]:
    """What names a line: its group, its title, and which numbers it shows where there are two kinds."""
    group = (escape(line.group),) if sheet.groups else ()
    return (*group, escape(line.title), *((line.numbers,) if several else ()))


def _ruled(body: str, stubs: int) -> str:
    r"""A table with booktabs' rules between groups of rows, and none after the last."""
    rules = (
        [line for line in body.splitlines() if not line.startswith(r"\cline{2-")] if stubs > 2 else body.splitlines()
    )
    kept = [r"\midrule" if line.startswith(r"\cline{1-") else line for line in rules]
    return "\n".join(kept).replace("\\midrule\n\\bottomrule", r"\bottomrule") + "\n"


def _spanned(body: str, sheet: Sheet, stubs: int) -> str:
    r"""A table with the headings of groups above its own."""
    top, rule, rest = body.partition("\\toprule\n")
    heads, below, first = [""] * stubs, [], stubs + 1
    for title, columns in spans(sheet):
        last = first + len(columns) - 1
        grouped = bool(columns[0].group)
        heads += [rf"\multicolumn{{{len(columns)}}}{{c}}{{{escape(title)}}}" if grouped else escape(title)]
        below += [rf"\cmidrule(lr){{{first}-{last}}}"] if grouped else []
        first = last + 1
    above = f"{' & '.join(heads)} \\\\\n{' '.join(below)}\n"
    return top + rule + above + rest


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless and the symbols of captions spelled out."""
    escaped = text.replace("\\", "\0").translate(_ESCAPES).replace("\0", r"\textbackslash{}")
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    return escaped


def _heading(sheet: Sheet, column: Column) -> str:
    text = lower_heading(sheet, column) if detailed(sheet) else heading(sheet, column.key)
    return escape(text).replace("n=", "$n$=")


def _text(sheet: Sheet, line: Line, column: Column, rank: int) -> str:
    cell = sheet.cells[line.row, column.key]
    number = text(cell, line.numbers, column.decimals)
    if not number:
        return "--"
    marked = {1: rf"\textbf{{{number}}}", 2: rf"\underline{{{number}}}" if sheet.laid_out else number}.get(rank, number)
    mark = escape(MARKS[cell.verdict]) if line.numbers != "published" else ""
    difference = step(sheet, line, column)
    interval = "" if column.detail else bounds(cell, line.numbers, column.decimals)
    small = (rf"{{\scriptsize {aside}}}" for aside in (difference, interval) if aside)
    return " ".join((f"{marked}{mark}", *small))


def _caption(sheet: Sheet) -> str:
    notes = (note.rstrip(".") for note in (*sheet.notes, *verdicts(sheet), *doubts(sheet)))
    sentences = [sheet.title, *sheet.protocol, legend(sheet).rstrip("."), *notes]
    return escape(". ".join(sentences) + ".")
