"""Which images are corrupted: a dataset by its name or by a pointer, its classes and the names of its files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rbench.catalog import resolve
from rbench.datasets import Dataset
from rbench.errors import UsageError, unknown
from rbench.types import Call

if TYPE_CHECKING:
    from torch import Tensor

# Corruptions measure models on images that they were not trained on: the test or validation images of each.
DATA = {
    "digits": Call("rbench.data.digits:digits", {"split": "test"}),
    "cifar10": Call("rbench.data.cifar:cifar10", {"split": "test"}),
    "cifar100": Call("rbench.data.cifar:cifar100", {"split": "test"}),
    "tiny-imagenet": Call("rbench.data.tiny_imagenet:tiny_imagenet", {"split": "val"}),
    "imagenet": Call("rbench.data.imagenet:imagenet", {"split": "val"}),
}


def call_of(data: str) -> Call:
    """The call that loads a dataset: one of `DATA`, or "package.module:function" with its test or validation split."""
    if data in DATA:
        return DATA[data]
    if ":" not in data:
        raise unknown("dataset", data, [*DATA, "package.module:function"])
    call = Call(data)
    split = signature(resolve(data)).parameters.get("split")
    if split is None or split.default is not Parameter.empty:
        return call
    known = get_args(split.annotation) or ("test",)
    return Call(data, {"split": next((word for word in ("test", "val") if word in known), known[0])})


def colour_images(dataset: Dataset, samples: Sequence[int]) -> "Tensor":
    """Some images of a dataset as uint8 [n, 3, H, W]; raises `UsageError` for images that are not RGB."""
    import torch

    from rbench.corruptions.corrupt import as_bytes

    images = np.ascontiguousarray(dataset.images(np.asarray(samples, dtype=np.int64)))
    if images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(
            f"dataset {dataset.name!r} has images of shape {list(images.shape[1:])}; the formats hold RGB images "
            "[3, H, W]: name a function, as package.module:function, that repeats the grey channel three times."
        )
    return as_bytes(torch.from_numpy(images))


@dataclass(frozen=True)
class Names:
    """The folder of each class, and the file of each sample without its ending."""

    classes: tuple[str, ...]
    stems: tuple[str, ...]
    labels: tuple[int, ...]

    def path(self, sample: int) -> str:
        """Where a sample lies below the folder of its severity."""
        return f"{self.classes[self.labels[sample]]}/{self.stems[sample]}.JPEG"


def names_of(dataset: Dataset) -> Names:
    """The names of the classes and files of a dataset, such that the sorted class names have the labels as ranks.

    Image files keep their names, and classes those that the dataset gives them (`names`). Others are numbered.
    """
    labels = tuple(int(label) for label in dataset.labels)
    files: tuple[Path, ...] = getattr(dataset, "files", ())
    stems = tuple(path.stem for path in files)
    if len(files) != len(labels) or max(Counter(zip(stems, labels, strict=True)).values()) > 1:
        stems = _numbers(len(labels))
    classes = tuple(getattr(dataset, "names", ()))
    return Names(classes or _numbers(dataset.classes), stems, labels)


def _numbers(count: int) -> tuple[str, ...]:
    width = len(str(count - 1))
    return tuple(f"{number:0{width}d}" for number in range(count))


def on_disk(dataset: Dataset) -> bool:
    """Whether the images of a dataset are files."""
    files: Any = getattr(dataset, "files", None)
    return files is not None
