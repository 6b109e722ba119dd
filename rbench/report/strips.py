"""Columns of LaTeX tables: numbers with their marks and what stands beside them, plain or aligned by siunitx."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Face = Literal["", "bold", "underlined"]
JOINED = "joined"  # in the place of a heading that the one before covers
SETUP = r"\sisetup{detect-weight, group-digits=false, retain-explicit-plus}"


@dataclass(frozen=True)
class Entry:
    """What a cell shows: a number as text, its face, its mark, and small print beside it; no number is a dash.

    On the second line of a row it is the small print that stands `below` the number, or nothing.
    """

    number: str = ""
    face: Face = ""
    mark: str = ""
    beside: tuple[str, ...] = ()
    below: str | None = None

    @property
    def aside(self) -> str:
        """The mark and the small print, with a space between."""
        return " ".join((self.mark, *map(small, self.beside))).rstrip()


@dataclass(frozen=True)
class Strip:
    """One column of a sheet as columns of LaTeX, one or two: their letters, and the texts of each line."""

    letters: str
    cells: Sequence[tuple[str, ...]]

    @property
    def width(self) -> int:
        """How many columns of LaTeX it takes."""
        return len(self.cells[0])

    def heading(self, text: str) -> tuple[str, ...]:
        """A heading above all of them."""
        return (over([self], text), *[JOINED] * (self.width - 1))


def plain(entries: Iterable[Entry]) -> Strip:
    """Numbers flush right, each with what stands beside it."""
    return Strip("r", [(_told(entry),) for entry in entries])


def aligned(entries: Sequence[Entry]) -> Strip:
    """Numbers aligned at the decimal mark, and a column for what stands beside them where anything does."""
    letters = f"S[table-format={table_format([entry.number for entry in entries if entry.number])}]"
    if not any(entry.aside for entry in entries):
        return Strip(letters, [(_number(entry) if entry.below is None else _braced(entry.below),) for entry in entries])
    return Strip(letters + "@{}l", [_pair(entry) for entry in entries])


def over(strips: Sequence[Strip], text: str, *, grouped: bool = False) -> str:
    """A heading above neighbours; what stands in a column of numbers alone must not be read as one."""
    width = sum(strip.width for strip in strips)
    return rf"\multicolumn{{{width}}}{{c}}{{{text}}}" if grouped or strips[0].letters != "r" else text


def table_format(numbers: Sequence[str]) -> str:
    """The room that numbers take, for siunitx: "2.1" for 12.3 and 4.5, with a sign where any has one."""
    parts = [number.lstrip("+-").partition(".") for number in numbers]
    whole, decimals = (max((len(part[side]) for part in parts), default=1) for side in (0, 2))
    sign = "+" if any(number[0] in "+-" for number in numbers) else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def small(text: str) -> str:
    """Small print, none where there is no text."""
    return rf"{{\scriptsize {minus(text)}}}" if text else ""


def minus(text: str) -> str:
    """Numbers with a minus sign in the place of a hyphen."""
    return text.replace("-", "$-$")


def _told(entry: Entry) -> str:
    """An entry of plain columns."""
    if entry.below is not None:
        return small(entry.below)
    return f"{_faced(entry)}{entry.aside}" if entry.number else "--"


def _pair(entry: Entry) -> tuple[str, str]:
    """A number and what stands beside it, or else what stands below both."""
    if entry.below:
        return rf"\multicolumn{{2}}{{r}}{{{small(entry.below)}}}", JOINED
    if entry.below is not None:
        return "", ""
    return _number(entry), re.sub("^ ", "~", entry.aside)


def _braced(below: str) -> str:
    """Small print in a column of numbers, which must not be read as one."""
    return f"{{{small(below)}}}" if below else ""


def _faced(entry: Entry) -> str:
    number = minus(entry.number)
    return {"bold": rf"\textbf{{{number}}}", "underlined": rf"\underline{{{number}}}"}.get(entry.face, number)


def _number(entry: Entry) -> str:
    """A number that siunitx can read: a line is drawn under it afterwards, from where it ends to where it began."""
    if not entry.number:
        return "{--}"
    if entry.face == "bold":
        return rf"\bfseries {entry.number}"
    line = rf"{{\llap{{\underline{{\phantom{{{minus(entry.number)}}}}}}}}}" if entry.face == "underlined" else ""
    return entry.number + line
