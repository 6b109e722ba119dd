"""Datasets in the official files that torchvision reads and whose MD5 it checks, from a folder that the user names."""

import os
from pathlib import Path
from typing import Any

from rbench.errors import MissingError


def data_root() -> Path:
    """The folder that holds the datasets: --data-dir or $RBENCH_DATA, else `data`."""
    return Path(os.environ.get("RBENCH_DATA", "data"))


def download_wanted() -> bool:
    """Whether --download allows the network to be used."""
    return os.environ.get("RBENCH_DOWNLOAD") == "1"


def official(kind: str, **options: Any) -> Any:
    """The dataset `torchvision.datasets.<kind>` with its options; raises `MissingError` with the remedy."""
    from torchvision import datasets

    root = data_root()
    try:
        return getattr(datasets, kind)(root, download=download_wanted(), **options)
    except (RuntimeError, OSError) as error:
        raise MissingError(
            f"no intact {kind} in {root.resolve()} ({error}). Name its folder with --data-dir or $RBENCH_DATA, "
            f"or add --download to fetch it."
        ) from error
