"""Where else an epoch's row goes: TensorBoard or MLflow. The CSV is always written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rbench.trackers import Kind, tracker
from rbench.training.history import Row

__all__ = ["Kind", "Logger", "logger", "values_of"]
Logger = Callable[[Row], None]


def values_of(row: Row) -> dict[str, float]:
    """What was measured of an epoch, by name."""
    return {key: float(value) for key, value in asdict(row).items() if key != "epoch" and value is not None}


@contextmanager
def logger(kind: Kind, folder: Path, name: str, settings: Mapping[str, str]) -> Iterator[Logger]:
    """A function that logs rows of the training `name`; `settings` describe it, `folder` holds its files.

    Raises `MissingError` if the package is not installed, and `UsageError` for another kind.
    """
    with tracker(kind, folder, name, settings) as log:
        yield lambda row: log(values_of(row), row.epoch)
