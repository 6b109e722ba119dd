"""A training set for tests: the first 160 training digits. Asking for the test split is a failure."""

from rbench.data.arrays import ArrayDataset
from rbench.data.digits import digits


def small(split: str) -> ArrayDataset:
    assert split == "train", "a training must never see the test split"
    whole = digits("train")
    return ArrayDataset("small", 10, whole.pixels[:160], whole.labels[:160])


def medium(split: str) -> ArrayDataset:
    """The first 400."""
    assert split == "train", "a training must never see the test split"
    whole = digits("train")
    return ArrayDataset("medium", 10, whole.pixels[:400], whole.labels[:400])
