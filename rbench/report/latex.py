r"""Tables for papers: LaTeX with booktabs, complete with `\begin{table}`, caption and label."""

from rbench.pages import Cell, Column, Sheet
from rbench.report.cells import (
    MARKS,
    best,
    detailed,
    doubts,
    heading,
    interval,
    legend,
    lower_heading,
    percent,
    spans,
    verdicts,
)

_ESCAPES = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})
_SYMBOLS = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "L-inf": r"$\ell_\infty$",
    "L2": r"$\ell_2$",
}
_SHRINK = r"""\setlength{\tabcolsep}{3pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
"""


def latex(sheet: Sheet) -> str:
    r"""A sheet as a table that needs `\usepackage{booktabs}`; doubtful values carry one dagger or two.

    Details stand without intervals under the headings of their groups, in a table across both columns of a page that
    shrinks to its width, which needs `\usepackage{graphicx}` too.
    """
    import pandas as pd

    winners = {column.key: best(sheet, column.key) for column in sheet.columns}
    cells = [
        [_text(sheet.cells[model, c.key], bold=model in winners[c.key], detail=bool(c.group)) for c in sheet.columns]
        for model, _ in sheet.rows
    ]
    heads = [_heading(sheet, column) for column in sheet.columns]
    frame = pd.DataFrame(cells, index=[escape(title) for _, title in sheet.rows], columns=heads)
    body = frame.style.to_latex(
        hrules=True,
        column_format="l" + "r" * len(sheet.columns),
        position="t",
        position_float="centering",
        caption=_caption(sheet),
        label=f"tab:{sheet.name}",
        environment="table*" if detailed(sheet) else None,
    )
    packages = r"\usepackage{booktabs}" + (r" and \usepackage{graphicx}" if detailed(sheet) else "")
    return f"% needs {packages}\n{_spanned(body, sheet) if detailed(sheet) else body}"


def _spanned(body: str, sheet: Sheet) -> str:
    r"""A table with the headings of groups above its own, no wider than the page."""
    top, rule, rest = body.partition("\\toprule\n")
    heads, lines, first = [""], [], 2
    for title, columns in spans(sheet):
        last = first + len(columns) - 1
        grouped = bool(columns[0].group)
        heads += [rf"\multicolumn{{{len(columns)}}}{{c}}{{{escape(title)}}}" if grouped else escape(title)]
        lines += [rf"\cmidrule(lr){{{first}-{last}}}"] if grouped else []
        first = last + 1
    above = f"{' & '.join(heads)} \\\\\n{' '.join(lines)}\n"
    shrunk = top.replace(r"\begin{tabular}", _SHRINK + r"\begin{tabular}")
    return shrunk + rule + above + rest.replace(r"\end{tabular}", r"\end{tabular}}")


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless and the symbols of captions spelled out."""
    escaped = text.replace("\\", "\0").translate(_ESCAPES).replace("\0", r"\textbackslash{}")
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    return escaped


def _heading(sheet: Sheet, column: Column) -> str:
    text = lower_heading(sheet, column) if detailed(sheet) else heading(sheet, column.key)
    return escape(text).replace("n=", "$n$=")


def _text(cell: Cell, *, bold: bool, detail: bool) -> str:
    if cell.score is None:
        return "--"
    value = percent(cell.score.value)
    value = rf"\textbf{{{value}}}" if bold else value
    mark = escape(MARKS[cell.verdict])
    return f"{value}{mark}" if detail else rf"{value}{mark} {{\scriptsize {interval(cell.score)}}}"


def _caption(sheet: Sheet) -> str:
    notes = (note.rstrip(".") for note in (*verdicts(sheet), *doubts(sheet)))
    sentences = [sheet.title, *sheet.protocol, legend(sheet).rstrip("."), *notes]
    return escape(". ".join(sentences) + ".")
