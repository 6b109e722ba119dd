"""Datasets by their specs, and the folder that they come from for the time of one call."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rbench.catalog import bind
from rbench.datasets import Dataset
from rbench.errors import MissingError, RbenchError
from rbench.types import Suite


def dataset_of(suite: Suite) -> Dataset:
    """The dataset of a suite; raises `MissingError` if its loader fails."""
    load = bind(suite.data)
    try:
        dataset: Dataset = load()
    except RbenchError:
        raise
    except Exception as error:
        raise MissingError(f"{suite.data.use} cannot load its data: {type(error).__name__}: {error}.") from error
    return dataset


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
