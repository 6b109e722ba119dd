"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) through torchvision, from a folder that the user names."""

from typing import Literal

import numpy as np

from rbench.data.arrays import ArrayDataset
from rbench.data.official import official

Split = Literal["train", "test"]


def cifar10(split: Split) -> ArrayDataset:
    """CIFAR-10: 50,000 images to train and 10,000 to test, uint8 [N, 3, 32, 32], 10 classes, in the official order."""
    return _load("CIFAR10", "cifar10", 10, split)


def cifar100(split: Split) -> ArrayDataset:
    """CIFAR-100: 50,000 images to train, 10,000 to test, uint8 [N, 3, 32, 32], 100 classes, in the official order."""
    return _load("CIFAR100", "cifar100", 100, split)


def _load(kind: str, name: str, classes: int, split: Split) -> ArrayDataset:
    source = official(kind, train=split == "train")
    pixels = np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))
    return ArrayDataset(name, classes, pixels, np.asarray(source.targets, dtype=np.int64))
