"""`digits`: 1,797 real handwritten digits that come with scikit-learn, in the shape of CIFAR-10.

E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI machine learning repository, 1998: the
8x8 images of 0..16 of its test part, here scaled to 32x32 bytes, grey in three channels.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from rbench.data.arrays import ArrayDataset
from rbench.errors import MissingError, UsageError
from rbench.types import IntArray

TEST_SIZE = 500
SPLIT_SEED = 0
DIGESTS = {
    "train": "89a1fce2894b4a5c6e63a310460bb903522123e9981ae42bc1918775f55d3ac6",
    "test": "943ce528bca29b777cfe7373d6d0710294cddddc59f730faab8d841f48e22e80",
}


def digits(split: Literal["train", "test"], only: tuple[int, ...] | None = None) -> ArrayDataset:
    """The fixed stratified split, 1,297 images to train and 500 to test, uint8 [N, 3, 32, 32], 10 classes.

    `only` keeps the images of those digits, which become the classes 0, 1, ... in the order given. Raises
    `MissingError` if scikit-learn's images are not the ones that this split was fixed on.
    """
    data = _digits(split)
    return data if only is None else _restricted(data, only)


def _restricted(data: ArrayDataset, only: tuple[int, ...]) -> ArrayDataset:
    if len(only) < 2 or len(set(only)) != len(only) or not set(only) <= set(range(data.classes)):
        raise UsageError(f"only = {list(only)} must name two or more different digits from 0 to 9.")
    kept = np.isin(data.labels, only)
    classes = np.full(data.classes, -1)
    classes[list(only)] = np.arange(len(only))
    return ArrayDataset("digits", len(only), data.pixels[kept], classes[data.labels[kept]])


@lru_cache(maxsize=2)
def _digits(split: Literal["train", "test"]) -> ArrayDataset:
    from sklearn.datasets import load_digits

    source = load_digits()
    pixels, labels = _enlarge(source.images), source.target.astype(np.int64)
    chosen = split_indices(labels)[split]
    grey = np.repeat(pixels[chosen][:, None], 3, axis=1)
    data = ArrayDataset("digits", 10, grey, labels[chosen])
    if data.digest != DIGESTS[split]:
        raise MissingError(f"digits/{split} is {data.digest}, not {DIGESTS[split]}; reinstall scikit-learn.")
    return data


def split_indices(labels: IntArray) -> dict[str, IntArray]:
    """A stratified split in a fixed shuffled order, so that every prefix of the test part is a fair sample."""
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(labels))
    # The k-th image of a class (in shuffled order) has rank (k + 1/2)/count; the lowest ranks go to the test part.
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    test = order[np.isin(order, np.argsort(rank, kind="stable")[:TEST_SIZE])]
    return {"test": test, "train": order[~np.isin(order, test)]}


def _enlarge(images: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Scale [N, 8, 8] values 0..16 to [N, 32, 32] bytes, bilinear with half-pixel centres and edges repeated."""
    centres = (np.arange(32) + 0.5) / 4 - 0.5
    low = np.floor(centres).astype(int)
    weight = centres - low
    matrix = np.zeros((32, 8))
    for row, (start, share) in enumerate(zip(low, weight, strict=True)):
        matrix[row, max(start, 0)] += 1 - share
        matrix[row, min(start + 1, 7)] += share
    scaled = np.einsum("ri,nij,cj->nrc", matrix, images, matrix) * (255 / 16)
    # Every exact value is a multiple of 255/1024; the nudge keeps halves on one side whatever the order of the sums.
    return np.floor(scaled + 0.5 + 1e-9).astype(np.uint8)
