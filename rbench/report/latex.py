r"""Tables for papers: LaTeX with booktabs, complete with `\begin{table}`, caption and label."""

from rbench.pages import Cell, Sheet
from rbench.report.cells import INTERVALS, MARKS, best, doubts, heading, interval, percent, verdicts

_ESCAPES = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})
_SYMBOLS = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "L-inf": r"$\ell_\infty$",
    "L2": r"$\ell_2$",
}


def latex(sheet: Sheet) -> str:
    r"""A sheet as a table that needs `\usepackage{booktabs}`; doubtful values carry one dagger or two."""
    import pandas as pd

    winners = {column.key: best(sheet, column.key) for column in sheet.columns}
    data = {
        _heading(sheet, column.key): [
            _text(sheet.cells[model, column.key], bold=model in winners[column.key]) for model, _ in sheet.rows
        ]
        for column in sheet.columns
    }
    frame = pd.DataFrame(data, index=[escape(title) for _, title in sheet.rows])
    body = frame.style.to_latex(
        hrules=True,
        column_format="l" + "r" * len(sheet.columns),
        position="t",
        position_float="centering",
        caption=_caption(sheet),
        label=f"tab:{sheet.name}",
    )
    return f"% needs \\usepackage{{booktabs}}\n{body}"


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless and the symbols of captions spelled out."""
    escaped = text.replace("\\", "\0").translate(_ESCAPES).replace("\0", r"\textbackslash{}")
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    return escaped


def _heading(sheet: Sheet, key: str) -> str:
    return escape(heading(sheet, key)).replace("n=", "$n$=")


def _text(cell: Cell, *, bold: bool) -> str:
    if cell.score is None:
        return "--"
    value = percent(cell.score.value)
    value = rf"\textbf{{{value}}}" if bold else value
    mark = escape(MARKS[cell.verdict])
    return rf"{value}{mark} {{\scriptsize {interval(cell.score)}}}"


def _caption(sheet: Sheet) -> str:
    notes = (note.rstrip(".") for note in (*verdicts(sheet), *doubts(sheet)))
    sentences = [sheet.title, *sheet.protocol, INTERVALS.rstrip("."), *notes]
    return escape(". ".join(sentences) + ".")
