"""Progress on stderr, with the time that is left, for anything that takes longer than two seconds."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PATIENCE = 0.2  # seconds between two updates of the text
NEARLY = 0.99
WHOLE = "whole run"


class Progress(Protocol):
    """What the engine tells about its work."""

    def begin(self, name: str, done: int, total: int) -> None:
        """A probe starts, with `done` of `total` samples already stored."""

    def advance(self, samples: int) -> None:
        """Some samples are stored."""

    def tick(self, passes: int) -> None:
        """So many more images went forwards through the model."""


class Teller(Progress, Protocol):
    """What shows the progress of the engine, and can say a line beside it."""

    def say(self, line: str) -> None:
        """A line for the user."""


@dataclass(frozen=True)
class Share:
    """What a probe asks of a run: so many `samples` that are left, each so many forward passes and passes in all."""

    samples: int
    forwards: float
    passes: float

    def done(self, samples: int, forwards: int) -> float:
        """The passes that are behind, from the samples that are stored and the forward passes that were made.

        Samples that are stored are done, whatever they took; of those in hand the forward passes tell. They never tell
        that all is done.
        """
        stored = samples / self.samples if self.samples else 1.0
        under_way = min(forwards / (self.samples * self.forwards), NEARLY) if self.samples and self.forwards else 0.0
        return self.samples * self.passes * max(stored, under_way)


class Silent:
    """Says nothing."""

    def begin(self, name: str, done: int, total: int) -> None:
        """Say nothing."""

    def advance(self, samples: int) -> None:
        """Say nothing."""

    def tick(self, passes: int) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""


@contextmanager
def progress_bar(*, show: bool, whole: Mapping[str, Share] | None = None) -> Iterator[Teller]:
    """A bar for each probe: samples, passes, time spent and time left; above them one of the `whole` run, by probe."""
    if not show:
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    bar = RichProgress(
        TextColumn("{task.description:<12}", table_column=Column(overflow="fold")),  # long names are not cut off
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("{task.fields[passes]}"),
        console=Console(stderr=True),
        speed_estimate_period=3600,
    )
    with bar:
        yield _Bar(bar, whole or {})


class _Bar:
    def __init__(self, bar: "RichProgress", whole: Mapping[str, Share]) -> None:
        self._bar, self._shares = bar, whole
        self._task: TaskID | None = None
        self._last = 0.0
        self._passes = self._stored = self._done = self._all = 0
        self._behind = 0.0  # passes of probes that are finished
        self._name = ""
        self._whole = bar.add_task(WHOLE, total=self._sum, passes="", amount="0%") if len(whole) > 1 else None

    @property
    def _sum(self) -> float:
        return sum(share.samples * share.passes for share in self._shares.values())

    def begin(self, name: str, done: int, total: int) -> None:
        if share := self._shares.get(self._name):
            self._behind += share.samples * share.passes
        self._passes = self._stored = 0
        self._name, self._done, self._all = name, done, total
        self._task = self._bar.add_task(name, total=total, completed=done, passes="", amount=self._amount)
        self._look()

    def advance(self, samples: int) -> None:
        self._stored += samples
        if self._task is not None:
            self._bar.update(self._task, advance=samples, amount=self._amount)
        self._look()

    def tick(self, passes: int) -> None:
        self._passes += passes
        now = time.monotonic()
        if self._task is not None and now - self._last > PATIENCE:
            self._last = now
            self._bar.update(self._task, passes=f"{self._passes:,} passes")
            self._look()

    @property
    def _amount(self) -> str:
        return f"{self._done + self._stored}/{self._all} samples"

    def _look(self) -> None:
        """Say how far the whole run is."""
        if self._whole is not None:
            share = self._shares.get(self._name)
            done = self._behind + (share.done(self._stored, self._passes) if share else 0.0)
            self._bar.update(self._whole, completed=done, amount=f"{100 * done / (self._sum or 1):.0f}%")

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False)


def lasting(seconds: float) -> str:
    """A time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{round(seconds / 60)} min" if whole < 7200 else f"{seconds / 3600:,.1f} h"
