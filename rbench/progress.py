"""Progress on stderr, with the time that is left, for anything that takes longer than two seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PATIENCE = 0.2  # seconds between two updates of the text


class Progress(Protocol):
    """What the engine tells about its work."""

    def begin(self, name: str, done: int, total: int) -> None:
        """A probe starts, with `done` of `total` samples already stored."""

    def advance(self, samples: int) -> None:
        """Some samples are stored."""

    def tick(self, passes: int) -> None:
        """So many more images went forwards through the model."""


class Silent:
    """Says nothing."""

    def begin(self, name: str, done: int, total: int) -> None:
        """Say nothing."""

    def advance(self, samples: int) -> None:
        """Say nothing."""

    def tick(self, passes: int) -> None:
        """Say nothing."""


@contextmanager
def progress_bar(*, show: bool) -> Iterator[Progress]:
    """A bar for each probe: samples, passes, time spent and time left."""
    if not show:
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    bar = RichProgress(
        TextColumn("{task.description:<12}", table_column=Column(overflow="fold")),  # long names are not cut off
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("samples"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("{task.fields[passes]}"),
        console=Console(stderr=True),
        speed_estimate_period=3600,
    )
    with bar:
        yield _Bar(bar)


class _Bar:
    def __init__(self, bar: "RichProgress") -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._last = 0.0
        self._passes = 0

    def begin(self, name: str, done: int, total: int) -> None:
        self._passes = 0
        self._task = self._bar.add_task(name, total=total, completed=done, passes="")

    def advance(self, samples: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, advance=samples)

    def tick(self, passes: int) -> None:
        self._passes += passes
        now = time.monotonic()
        if self._task is not None and now - self._last > PATIENCE:
            self._last = now
            self._bar.update(self._task, passes=f"{self._passes:,} passes")
