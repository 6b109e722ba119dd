"""ImageNet-C, Tiny-ImageNet-C (Hendrycks and Dietterich, ICLR 2019) and what is laid out like them, from their files.

So are ImageNet-C-bar (Mintun et al., NeurIPS 2021) and ImageNet-3DCC (Kar et al., CVPR 2022).
"""

import re
from pathlib import Path
from typing import Literal

import numpy as np

from rbench.corruptions.tables import SEVERITIES
from rbench.data.folders import FileView, classes_in, joined, listed, places, remedy, required
from rbench.data.groups import check_groups
from rbench.data.image_files import SUFFIXES, ImageFiles, Square, complete
from rbench.data.made import maker_of
from rbench.datasets import Dataset
from rbench.errors import MissingError

Interpolation = Literal["bilinear", "bicubic"]


def imagenet_c(
    dataset: Dataset,
    seed: int,  # noqa: ARG001 - files hold no randomness
    *,
    corruption: str,
    severities: tuple[int, ...] = SEVERITIES,
    folder: str = "ImageNet-C",
    resize: int | None = None,
    crop: int = 224,
    interpolation: Interpolation = "bilinear",
) -> FileView:
    """One corruption of ImageNet-C, uint8 [n, 1, 3, crop, crop]; a group is a severity.

    Read from `<folder>/<corruption>/<severity>/<wnid>/<stem>.JPEG`, or from the same under noise/, blur/, weather/,
    digital/ or extra/, and joined to the dataset by class and stem. The official transform is the centre crop alone:
    the images have 224 pixels already, and others are refused. With `resize`, the shorter side is scaled first, as the
    code of AugMix does (256). Raises `MissingError` that names all missing cells, and for missing or extra images.
    """
    return _view(dataset, corruption, severities, folder, Square(crop, resize, interpolation))


def tiny_imagenet_c(
    dataset: Dataset,
    seed: int,  # noqa: ARG001
    *,
    corruption: str,
    severities: tuple[int, ...] = SEVERITIES,
    folder: str = "Tiny-ImageNet-C",
) -> FileView:
    """One corruption of Tiny-ImageNet-C, uint8 [n, 1, 3, 64, 64]; else as `imagenet_c`.

    Its images were cut from ImageNet, not from the validation images of Tiny ImageNet, so that it goes with
    `corrupted_images` as the dataset.
    """
    return _view(dataset, corruption, severities, folder, Square(64))


def corrupted_images(
    folder: str = "Tiny-ImageNet-C",
    corruption: str = "brightness",
    severity: int = 1,
    *,
    name: str = "tiny-imagenet",
    classes: int = 200,
    each: int = 50,
    resize: int | None = None,
    crop: int = 64,
    interpolation: Interpolation = "bilinear",
) -> ImageFiles:
    """One cell of ImageNet-C or the like as a dataset, uint8 [n, 3, crop, crop]: the samples that views are joined to.

    The labels are the ranks of the sorted wnids; the order is by class, then by number. Raises `MissingError` unless
    there are `each` images of each of the `classes`.
    """
    cell = _required_cells(folder, corruption, (severity,))[severity]
    wnids, names = classes_in(cell), listed(cell, SUFFIXES)
    if len(wnids) != classes:
        advice = remedy(folder, corruption)
        raise MissingError(f"{cell} holds folders of {len(wnids)} classes, not {classes}. {advice}.")
    ranks = {wnid: rank for rank, wnid in enumerate(wnids)}
    labels = np.array([ranks[path.partition("/")[0]] for path in names], dtype=np.int64)
    complete(folder, cell, labels, wnids, each)
    files = tuple(cell / path for path in names)
    return ImageFiles(name, classes, files, labels, Square(crop, resize, interpolation), tuple(wnids))


def _view(dataset: Dataset, corruption: str, severities: tuple[int, ...], folder: str, transform: Square) -> FileView:
    cells = _required_cells(folder, corruption, severities)
    advice = remedy(folder, corruption)
    names = {severity: joined(dataset, cell, SUFFIXES, advice) for severity, cell in cells.items()}
    like = ImageFiles(folder, dataset.classes, (), dataset.labels, transform)
    made = maker_of(required(folder, corruption), corruption) or {"source": "files", "official": "unknown"}
    provenance = {"files": folder, **made, "transform": described(transform)}
    return FileView(severities, 1, "previous", provenance, like, cells, names)


def described(transform: Square) -> str:
    """A transform in the words of torchvision, such as "Resize(256, bilinear), CenterCrop(224)"."""
    scaling = "" if transform.resize is None else f"Resize({transform.resize}, {transform.interpolation}), "
    return f"{scaling}CenterCrop({transform.size})"


def _required_cells(folder: str, corruption: str, severities: tuple[int, ...]) -> dict[int, Path]:
    """The folders of all these severities; raises `MissingError` that names all that are missing."""
    check_groups("severities", severities, SEVERITIES)
    root = required(folder, corruption)
    cells = _cells(root, corruption)
    if missing := [f"{corruption}/{severity}" for severity in severities if severity not in cells]:
        raise MissingError(f"{root} has no {', '.join(missing)}. {remedy(folder, corruption)}.")
    return {severity: cells[severity] for severity in severities}


def _cells(root: Path, corruption: str) -> dict[int, Path]:
    """The folders of a corruption by severity, wherever they lie; raises `MissingError` if one is there twice."""
    cells: dict[int, Path] = {}
    for place in places(root):
        for severity, cell in _severities(place / corruption).items():
            if severity in cells:
                raise MissingError(f"{cells[severity]} and {cell} are the same cell. Remove one of them.")
            cells[severity] = cell
    return cells


def _severities(folder: Path) -> dict[int, Path]:
    """The folders 1 to 5 in a folder; the code of ImageNet-C-bar names them by its constants instead: 2.35 to 9.15."""
    names = classes_in(folder)
    constants = sorted((name for name in names if re.fullmatch(r"\d+\.\d+", name)), key=float)
    if len(constants) == len(SEVERITIES):
        return {severity: folder / name for severity, name in zip(SEVERITIES, constants, strict=True)}
    return {severity: folder / str(severity) for severity in SEVERITIES if str(severity) in names}
