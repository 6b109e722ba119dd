"""What tables and reports are made of: scores in their places, and what is missing; frozen, and free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rbench.types import Score, Verdict, verdict_of


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it: `text` in `unit` (%, pp, M, bits, epochs), with a note and where it stands."""

    text: str
    unit: str = "%"
    note: str = ""
    source: str = ""

    @property
    def value(self) -> float:
        """The number, in its unit."""
        return float(self.text)

    @property
    def decimals(self) -> int:
        """The digits behind the point."""
        return len(self.text.partition(".")[2])


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place: a score, or else the command that would fill it, or why nothing can.

    `printed` is what a paper says there.
    """

    score: Score | None = None
    total: int = 0
    missing: str = ""
    undefined: str = ""
    printed: Printed | None = None

    @property
    def verdict(self) -> Verdict:
        """What the findings make of the number."""
        return verdict_of(self.score.findings if self.score is not None else ())


@dataclass(frozen=True)
class Column:
    """One score of one suite, or one of a paper, as the columns of a table; `relative` if it compares with a baseline.

    Columns of a `group` share a heading; those that are a `detail` of another score go without intervals. Where
    nothing is better (a count of parameters), `higher_is_better` is None. `decimals` are printed: of percentages, one.
    Where `versus` is false, no differences to other rows are shown. An `accuracy` is a share of samples that are
    classified correctly, unlike means of several outcomes of a sample.
    """

    key: str
    title: str
    higher_is_better: bool | None
    group: str = ""
    relative: bool = False
    detail: bool = False
    decimals: int = 1
    versus: bool = True
    accuracy: bool = True


@dataclass(frozen=True)
class Sheet:
    """Scores of models, or at several eps (rows: key, title), by columns: what reports render; shares in [0, 1].

    `verdicts` are those of the complete runs behind it, by model and suite. By the keys of rows, `groups` are the
    headings of neighbours and `versus` the rows to which differences are shown. `laid_out` is said of a table in the
    layout of a paper, `notes` are about it, and `fill` is the command for all that it lacks. Unless `ranked`, rows do
    not compete: they are of several datasets or attacks, and none is marked as the best.
    """

    name: str
    title: str
    protocol: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, str], Cell]
    verdicts: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)
    rows_are: Literal["model", "eps"] = "model"
    groups: Mapping[str, str] = field(default_factory=dict)
    versus: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    laid_out: bool = False
    fill: str = ""
    ranked: bool = True

    @property
    def printed(self) -> bool:
        """Whether a paper printed any of its numbers."""
        return any(cell.printed is not None for cell in self.cells.values())
