"""What a table shows: rows by columns, each cell a score of a model and what a paper printed in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from rbench.errors import UsageError, unknown
from rbench.types import STRICT

Where = Mapping[str, str | tuple[str, ...]]
Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class TableRow:
    """A row: a model, or the rows of a file of published numbers (`where`) whose cards say what measures them.

    Neighbours of one `group` stand together. The difference to the row titled `versus`, of the same group if there is
    one, is printed in parentheses.
    """

    __pydantic_config__: ClassVar = STRICT
    title: str = ""
    group: str = ""
    model: str = ""
    where: Where = field(default_factory=dict)
    versus: str = ""

    @property
    def key(self) -> str:
        """What the row is called by machines and footnotes."""
        return self.model or " ".join(filter(None, (self.group, self.title)))


@dataclass(frozen=True)
class TableColumn:
    """A column: a score, written "suite:score", or the rows of a file of published numbers; which way is `better`.

    Where `versus` is false, the differences to the rows that others are compared with are not printed.
    """

    __pydantic_config__: ClassVar = STRICT
    title: str = ""
    group: str = ""
    score: str = ""
    where: Where = field(default_factory=dict)
    better: Better = "higher"
    versus: bool = True

    @property
    def key(self) -> str:
        """What the column is called by machines."""
        return self.score or ":".join(filter(None, (self.group, self.title)))


@dataclass(frozen=True)
class TableSpec:
    """Rows by columns: `models` by scores, or, in the layout of a paper, `rows` by columns of `published` numbers.

    `published` names a file of reports/published, of whose rows `where` keeps some; a cell is the one that fits its row
    and its column. `notes` are printed below. Rows of several datasets or attacks do not compete: they are not to be
    `ranked`. Raises `UsageError` for a mixture of both, or keys that occur twice.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    columns: tuple[str | TableColumn, ...]
    models: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()
    published: str = ""
    where: Where = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ranked: bool = True

    def __post_init__(self) -> None:
        if bool(self.models) == bool(self.rows):
            raise UsageError("a table has either `models` or `rows`.")
        placed = any(line.where for line in self.lines) or any(head.where for head in self.heads)
        if bool(self.published) != placed:
            raise UsageError("`published` names a file and `where` in rows and columns its numbers: give both or none.")
        keyed = {"rows": [line.key for line in self.lines], "columns": [head.key for head in self.heads]}
        for what, keys in keyed.items():
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise UsageError(f"{what}: {twice[0]!r} occurs twice; give each its own title or group.")
        for row in self.lines:
            if row.versus:
                self.rival(row)

    @property
    def lines(self) -> tuple[TableRow, ...]:
        """The rows, however they are written."""
        return self.rows or tuple(TableRow(model=model) for model in self.models)

    @property
    def heads(self) -> tuple[TableColumn, ...]:
        """The columns, however they are written."""
        return tuple(TableColumn(score=column) if isinstance(column, str) else column for column in self.columns)

    def rival(self, row: TableRow) -> str:
        """The key of the row that a row is compared with."""
        titled = [other for other in self.lines if row.versus in (other.title, other.model) and other != row]
        found = [other for other in titled if other.group == row.group] or titled
        if not found:
            raise unknown(
                "row",
                row.versus,
                [other.title or other.model for other in self.lines if other != row],
                f"`versus` of {row.key!r}",
            )
        if len(found) > 1:
            raise UsageError(f"rows: {row.key!r} versus {row.versus!r}: {len(found)} rows have that title, not one.")
        return found[0].key
