"""What tables and reports are made of: scores in their places, and what is missing; frozen, and free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rbench.types import Score, Verdict, verdict_of


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place: a score, or else the command that would fill it, or why nothing can."""

    score: Score | None = None
    total: int = 0
    missing: str = ""
    undefined: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the findings make of the number."""
        return verdict_of(self.score.findings if self.score is not None else ())


@dataclass(frozen=True)
class Column:
    """One score of one suite, as the columns of a table; `relative` if it compares with a baseline."""

    key: str
    title: str
    higher_is_better: bool
    group: str = ""
    relative: bool = False


@dataclass(frozen=True)
class Sheet:
    """Scores of models, or at several eps (rows: key, title), by columns: what reports render; shares in [0, 1].

    `verdicts` are those of the complete runs behind it, by model and suite.
    """

    name: str
    title: str
    protocol: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, str], Cell]
    verdicts: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)
    rows_are: Literal["model", "eps"] = "model"
