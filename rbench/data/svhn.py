"""SVHN, cropped digits (Netzer et al., NIPS workshop 2011) through torchvision, from a folder that the user names."""

from typing import Literal

import numpy as np

from rbench.data.arrays import ArrayDataset
from rbench.data.official import official


def svhn(split: Literal["train", "test"]) -> ArrayDataset:
    """SVHN: 73,257 images to train and 26,032 to test, uint8 [N, 3, 32, 32], 10 classes, in the official order.

    Read from `train_32x32.mat` and `test_32x32.mat`; the digit 0, which the files label 10, is class 0.
    """
    source = official("SVHN", split=split)
    return ArrayDataset("svhn", 10, np.ascontiguousarray(source.data), np.asarray(source.labels, dtype=np.int64))
