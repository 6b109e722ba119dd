"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) through torchvision, from a folder that the user names."""

import os
from pathlib import Path
from typing import Literal

import numpy as np

from rbench.data.arrays import ArrayDataset
from rbench.errors import MissingError

Split = Literal["train", "test"]


def cifar10(split: Split) -> ArrayDataset:
    """CIFAR-10: 50,000 images to train and 10,000 to test, uint8 [N, 3, 32, 32], 10 classes, in the official order."""
    return _load("CIFAR10", "cifar10", 10, split)


def cifar100(split: Split) -> ArrayDataset:
    """CIFAR-100: 50,000 images to train, 10,000 to test, uint8 [N, 3, 32, 32], 100 classes, in the official order."""
    return _load("CIFAR100", "cifar100", 100, split)


def _load(kind: str, name: str, classes: int, split: Split) -> ArrayDataset:
    """Read the official files, whose MD5 torchvision checks; raises `MissingError` with the remedy."""
    from torchvision import datasets

    root = Path(os.environ.get("RBENCH_DATA", "data"))
    download = os.environ.get("RBENCH_DOWNLOAD") == "1"
    try:
        source = getattr(datasets, kind)(root, train=split == "train", download=download)
    except (RuntimeError, OSError) as error:
        raise MissingError(
            f"no intact {kind} in {root.resolve()} ({error}). Name its folder with --data-dir or $RBENCH_DATA, "
            f"or add --download to fetch it."
        ) from error
    pixels = np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))
    return ArrayDataset(name, classes, pixels, np.asarray(source.targets, dtype=np.int64))
