"""ImageNet (Russakovsky et al., IJCV 2015): the training images of ILSVRC 2012, and altered copies of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rbench.data.crops import Crop
from rbench.data.folders import classes_in, listed
from rbench.data.image_files import SUFFIXES, ImageFiles, Square
from rbench.data.imagenet import CLASSES, FOLDERS
from rbench.data.official import data_root
from rbench.errors import MissingError
from rbench.files import digest_of
from rbench.types import FloatArray, IntArray

PARTS = ("train", "ILSVRC2012_img_train")
PLACES = (".", "imagenet", "DeepAugment")  # where copies are looked for
IMAGES = 1_281_167
ADVICE = "Unpack ILSVRC2012_img_train.tar, and each <wnid>.tar in it into a folder of that name"
SOURCE = "Those of DeepAugment, EDSR and CAE, are linked in DeepAugment/README.md of github.com/hendrycks/imagenet-r"


@dataclass(frozen=True)
class TrainingImages:
    """Labelled image files and altered copies of them, decoded on demand to uint8 [n, 3, size, size].

    Sample k is `files[k]`, a path below `folders[within[k]]`, and a copy of sample `origins[k]`, itself if it is an
    original. The paths are words, shared by a file and its copies: millions of `Path` would take gigabytes, once more
    in every process that loads.
    """

    name: str
    classes: int
    labels: IntArray
    origins: IntArray
    folders: tuple[Path, ...]
    within: IntArray
    files: tuple[str, ...]
    transform: Square
    names: tuple[str, ...]

    def images(self, ids: IntArray) -> npt.NDArray[Any]:
        """The images as for validation, uint8 [n, 3, size, size]; raises `MissingError` for a broken file."""
        return self._chosen(ids, self.transform).images(np.arange(len(ids)))

    def crops(self, ids: IntArray, area: tuple[float, float], uniform: FloatArray) -> npt.NDArray[Any]:
        """Random crops by `box`, scaled to uint8 [n, 3, size, size]; `uniform` [n, at least 40] are numbers in [0, 1).

        Raises `MissingError` for a broken file.
        """
        first, size, how = np.array([0]), self.transform.size, self.transform.interpolation
        rows = zip(ids[:, None], uniform, strict=True)
        crops = [self._chosen(k, Crop(size, interpolation=how, area=area, uniform=u)).images(first) for k, u in rows]
        return np.concatenate(crops)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the digests of all folders, in their order; see `ImageFiles.digest` for what they see.

        Every file is asked for its size: minutes for 1.28 million of them that the system has not seen lately.
        """
        members = (np.flatnonzero(self.within == k) for k in range(len(self.folders)))
        try:
            return digest_of([self._chosen(ids, self.transform).digest for ids in members])
        except OSError as error:
            raise MissingError(f"{self.name} is not intact: {error}. Unpack it again.") from error

    def _chosen(self, ids: IntArray, transform: Square) -> ImageFiles:
        paths = tuple(self.folders[self.within[k]] / self.files[k] for k in ids.tolist())
        return ImageFiles(self.name, self.classes, paths, self.labels[ids], transform, self.names)


def imagenet_train(
    split: Literal["train"],
    copies: tuple[str, ...] = (),
    size: int = 224,
    resize: int = 256,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
) -> TrainingImages:
    """ImageNet's 1,281,167 training images, uint8 [n, 3, size, size], 1,000 classes: the ranks of the sorted wnids.

    They come by class, then by number. After them come the images of the folders `copies`, which hold altered copies,
    not necessarily of every image, under the same wnid and stem: EDSR and CAE are those of DeepAugment (Hendrycks et
    al., "The many faces of robustness", ICCV 2021). `resize` is that of `imagenet`, `interpolation` also that of random
    crops. Raises `MissingError` with the remedy.
    """
    folders = (_folder(split), *(_copy(name) for name in copies))
    originals, *others = found = [listed(folder, SUFFIXES) for folder in folders]
    wnids = classes_in(folders[0])
    labels = _labels(folders[0], originals, wnids)
    known = {_stem(file): k for k, file in enumerate(originals)}
    copied = [_origins(folder, files, known) for folder, files in zip(folders[1:], others, strict=True)]
    origins = np.concatenate([np.arange(len(originals)), *copied])
    within = np.repeat(np.arange(len(folders)), [len(files) for files in found])
    transform = Square(size, resize, interpolation)
    files = tuple(chain.from_iterable(found))
    return TrainingImages(
        "imagenet", CLASSES, labels[origins], origins, folders, within, files, transform, tuple(wnids)
    )


def _folder(split: str) -> Path:
    """The folder of the training images."""
    parent = data_root()
    for folder in (parent / name / part for name in FOLDERS for part in PARTS):
        if folder.is_dir():
            return folder
    raise MissingError(
        f"no training images of ImageNet in {parent.resolve()}: neither imagenet/{split} nor {split}. Its licence "
        f"forbids to fetch them for you: get ILSVRC2012_img_train.tar from image-net.org. {ADVICE}, and name the "
        f"folder that holds imagenet/{split} with --data-dir or $RBENCH_DATA."
    )


def _labels(folder: Path, files: tuple[str, ...], wnids: list[str]) -> IntArray:
    """The labels of the training images, which must be all there."""
    if len(wnids) != CLASSES:
        raise MissingError(f"{folder} holds folders of {len(wnids)} classes, not {CLASSES}. {ADVICE}.")
    ranks = {wnid: rank for rank, wnid in enumerate(wnids)}
    labels = np.array([ranks[file.partition("/")[0]] for file in files], dtype=np.int64)
    if empty := [wnids[k] for k in np.flatnonzero(np.bincount(labels, minlength=CLASSES) == 0)]:
        raise MissingError(f"{folder} holds no images of {len(empty)} classes, such as {empty[0]}. {ADVICE}.")
    if len(files) != IMAGES:
        raise MissingError(f"{folder} is no complete ImageNet: {len(files)} images instead of {IMAGES}. {ADVICE}.")
    return labels


def _copy(name: str) -> Path:
    """The folder of copies of that name."""
    parent = data_root()
    for folder in (parent / place / name for place in PLACES):
        if folder.is_dir():
            return folder
    places = ", ".join((Path(place) / name).as_posix() for place in PLACES)
    raise MissingError(
        f"no copies {name!r} of ImageNet's training images in {parent.resolve()}, which has none of {places}. "
        f"{SOURCE}: unpack them there, as {name}/<wnid>, or leave {name!r} out of copies."
    )


def _origins(folder: Path, files: tuple[str, ...], known: Mapping[str, int]) -> IntArray:
    """Of which image each file is a copy: the one with its wnid and stem."""
    if not files:
        raise MissingError(f"{folder} holds no images in folders named by wnid. {SOURCE}: unpack them again.")
    if strange := [file for file in files if _stem(file) not in known]:
        raise MissingError(
            f"{folder} has {len(strange)} files that are copies of no training image, such as {strange[0]}. Remove "
            f"them, or unpack {folder.name} again. {SOURCE}."
        )
    return np.array([known[_stem(file)] for file in files], dtype=np.int64)


def _stem(file: str) -> str:
    return file.rpartition(".")[0]
