"""Texts of LaTeX tables: special characters made harmless, headings, cells and captions."""

import re
from collections.abc import Sequence
from textwrap import wrap

from rbench.pages import Column, Sheet
from rbench.report.cells import MARKS, detailed, doubts, heading, legend, lower_heading, verdicts
from rbench.report.lines import Line, beside, step, text
from rbench.report.strips import Entry, Face

_ESCAPES = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})
_SYMBOLS = {
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "L-inf": r"$\ell_\infty$",
    "L2": r"$\ell_2$",
}
TIE = "\N{NO-BREAK SPACE}"
LONGEST = 2500  # letters of a caption, which TeX first sets as one line: of more than five metres it makes an error
UPRIGHT = 8  # columns of details, whose numbers are narrower than any word; more of them make a table too wide
STACKED = 11  # letters in a line of a heading, where there are many columns


def escape(text: str) -> str:
    """Text with LaTeX's special characters made harmless and the symbols of captions spelled out."""
    escaped = text.replace("\\", "\0").translate(_ESCAPES).replace("\0", r"\textbackslash{}")
    for symbol, command in _SYMBOLS.items():
        escaped = escaped.replace(symbol, command)
    powers = re.sub(r"\b(\d+)\\textasciicircum\{\}(\d+)", r"$\1^{\2}$", escaped)
    return re.sub("`([^`]+)`", r"\\texttt{\1}", powers)


def heading_of(sheet: Sheet, column: Column, *, stacked: bool, small: bool = False) -> str:
    """The heading of a column, or its lower line where columns have groups; in several short lines if `stacked`.

    If `small`, in smaller type than the numbers, which are narrower than most headings. Details that are so many that
    even this is too wide have their headings upright.
    """
    words = lower_heading(sheet, column) if detailed(sheet) else heading(sheet, column.key)
    if column.detail and sum(other.detail for other in sheet.columns) > UPRIGHT:
        return rf"\rotatebox{{90}}{{\footnotesize {escape(words)}}}"
    lines = stacked_heading(words) if stacked else escape(words).replace("n=", "$n$=")
    return rf"{{\footnotesize {lines}}}" if small and lines else lines


def stacked_heading(words: str) -> str:
    """A heading in several short lines, each as wide as an interval; an arrow stays with its word."""
    tied = re.sub(" (?=[↑↓])", TIE, words)
    pieces = wrap(tied, STACKED, break_long_words=False, break_on_hyphens=False)
    text = r"\\".join(escape(piece).replace("n=", "$n$=").replace(TIE, "~") for piece in pieces)
    return rf"\shortstack{{{text}}}" if len(pieces) > 1 else text


def stub(sheet: Sheet, line: Line, *, several: bool) -> tuple[str, ...]:
    """What names a line: its group, its title, and which numbers it shows where there are two kinds."""
    group = (escape(line.group),) if sheet.groups else ()
    return (*group, escape(line.title), *(("" if line.below else line.numbers,) if several else ()))


def entry(sheet: Sheet, line: Line, column: Column, rank: int, *, stacked: bool) -> Entry:
    """What a cell shows: the best is bold and, in the layout of a paper, the second best underlined, if not in doubt.

    Intervals stand beside their numbers or, if `stacked`, on the line below.
    """
    cell = sheet.cells[line.row, column.key]
    interval = beside(cell, line.numbers, column)
    if line.below:
        return Entry(below=interval)
    number = text(cell, line.numbers, column.decimals)
    if not number:
        return Entry()
    mark = escape(MARKS[cell.verdict]) if line.numbers != "published" else ""
    small = tuple(filter(None, (step(sheet, line, column), "" if stacked else interval)))
    faces: dict[int, Face] = {1: "bold", 2: "underlined"}
    return Entry(number, faces.get(rank, ""), mark, small)


def caption(sheet: Sheet, kinds: Sequence[str]) -> tuple[str, str]:
    """Title, protocol, legend, verdicts and footnotes as sentences; the last two apart where all are too long."""
    notes = [note.rstrip(".") for note in (*verdicts(sheet), *doubts(sheet))]
    sentences = [
        sheet.title,
        *sheet.protocol,
        legend(sheet, kinds).rstrip("."),
        *(note.rstrip(".") for note in sheet.notes),
    ]
    whole = _told([*sentences, *notes])
    return (whole, "") if len(whole) <= LONGEST else (_told(sentences), _told(notes))


def _told(sentences: Sequence[str]) -> str:
    return escape(". ".join(sentences) + ".")


def continued(sheet: Sheet) -> str:
    """The caption of a further part."""
    return f"{escape(sheet.title)}, continued."
