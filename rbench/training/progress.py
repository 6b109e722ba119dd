"""A progress bar on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, str], None]
"""Called after some steps with their number and with what is known of the training so far."""


@contextmanager
def bar(title: str, total: int, done: int, *, enabled: bool) -> Iterator[Report]:
    """Show the share of `total` steps that is done, the time that is left, and what was reported last."""
    if not enabled:
        yield lambda _steps, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(6), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=3600) as progress:
        task = progress.add_task(title, total=total, completed=done, text="")
        yield lambda steps, text: progress.update(task, advance=steps, text=text)
