"""Datasets by their specs, and the folder that they come from for the time of one call."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rbench.catalog import bind
from rbench.datasets import Dataset, View
from rbench.errors import MissingError, RbenchError, UsageError
from rbench.types import Call, Probe, Suite


def dataset_of(suite: Suite) -> Dataset:
    """The dataset of a suite; raises `MissingError` if its loader fails."""
    return loaded(suite.data)


def loaded(data: Call) -> Dataset:
    """The dataset of a call; raises `MissingError` if its loader fails."""
    load = bind(data)
    try:
        dataset: Dataset = load()
    except RbenchError:
        raise
    except Exception as error:
        raise MissingError(f"{data.use} cannot load its data: {type(error).__name__}: {error}.") from error
    return dataset


def views_of(suite: Suite, seed: int, dataset: Dataset) -> dict[str, View]:
    """The views of a dataset that the probes of a suite ask for, by name; raises `MissingError` if a loader fails."""
    return {probe.name: view_of(seed, probe, dataset) for probe in suite.probes if probe.data is not None}


def missing(suite: Suite, seed: int, dataset: Dataset) -> dict[str, str]:
    """The probes of a suite whose data are missing or damaged, each with what is wrong.

    Raises `MissingError` if nothing else is left to ask.
    """
    found = {}
    asked = [probe for probe in suite.probes if probe.data is not None]
    for probe in asked:
        try:
            view_of(seed, probe, dataset)
        except MissingError as error:
            found[probe.name] = str(error)
    if asked and len(found) == len(asked):
        raise MissingError(f"all of suite {suite.name!r} is missing. {next(iter(found.values()))}")
    return found


def view_of(seed: int, probe: Probe, dataset: Dataset) -> View:
    """The view that a probe asks for; raises `MissingError` for data that are missing, else `UsageError`."""
    assert probe.data is not None  # noqa: S101 - others are not asked
    make = bind(probe.data, given=("dataset", "seed"))
    try:
        view: View = make(dataset, seed)
    except RbenchError:
        raise
    except Exception as error:
        raise UsageError(
            f"probe {probe.name!r}: {probe.data.use} cannot load its data: {type(error).__name__}: {error}."
        ) from error
    return view


@contextmanager
def data_source(data_dir: str | Path | None, download: bool) -> Iterator[None]:
    """Tell the loaders where data lies, for the time of one call."""
    wanted = {
        "RBENCH_DATA": str(data_dir) if data_dir is not None else None,
        "RBENCH_DOWNLOAD": "1" if download else None,
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
