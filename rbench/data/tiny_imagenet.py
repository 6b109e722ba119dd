"""Tiny ImageNet (Stanford CS231n, 2015): 200 classes of ImageNet at 64x64, from a folder that the user names."""

from pathlib import Path
from typing import Literal

import numpy as np

from rbench.data.image_files import ImageFiles, Square, complete, images_in, natural
from rbench.data.official import data_root, download_wanted
from rbench.errors import MissingError

FOLDER = "tiny-imagenet-200"
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
CLASSES = 200
EACH = {"train": 500, "val": 50}
Labelled = list[tuple[Path, str]]


def tiny_imagenet(split: Literal["train", "val"]) -> ImageFiles:
    """Tiny ImageNet: 100,000 images to train and 10,000 to validate, uint8 [n, 3, 64, 64], 200 classes.

    The labels are the ranks of the sorted wnids, as torchvision's ImageFolder and with it the field's checkpoints have
    it; `wnids.txt` lists the same wnids in another order. The validation images come in the order of their numbers,
    whether they lie in `val/images` (the official layout), `val/<wnid>/images` or `val/<wnid>`; the training images
    by class and number. The labels of the official test images are secret. Raises `MissingError` with the remedy.
    """
    root = _root()
    wnids = sorted((root / "wnids.txt").read_text(encoding="utf-8").split())
    if len(set(wnids)) != CLASSES:
        raise MissingError(f"{root / 'wnids.txt'} lists {len(set(wnids))} classes, not {CLASSES}. Unpack it again.")
    found = _official_val(root / "val") if split == "val" else []
    found = found or _in_folders(root / split, wnids)
    if split == "val":
        found.sort(key=lambda pair: natural(pair[0].name))
    ranks = {wnid: rank for rank, wnid in enumerate(wnids)}
    if strange := sorted({wnid for _, wnid in found} - ranks.keys()):
        raise MissingError(f"{root / split} has images of {strange[0]!r}, which wnids.txt does not list.")
    labels = np.array([ranks[wnid] for _, wnid in found], dtype=np.int64)
    complete("Tiny ImageNet", root / split, labels, wnids, EACH[split])
    files = tuple(path for path, _ in found)
    return ImageFiles("tiny-imagenet", CLASSES, files, labels, Square(64), tuple(wnids))


def _root() -> Path:
    """The unpacked archive: the folder of that name, or the data folder itself; fetched first if that is wanted."""
    parent = data_root()
    for folder in (parent / FOLDER, parent):
        if (folder / "wnids.txt").is_file():
            return folder
    if download_wanted():
        _fetch(parent)
        return parent / FOLDER
    raise MissingError(
        f"no {FOLDER}/wnids.txt in {parent.resolve()}. Unpack {URL} there, name its folder with --data-dir or "
        f"$RBENCH_DATA, or add --download to fetch it."
    )


def _fetch(parent: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    try:
        download_and_extract_archive(URL, str(parent), md5=MD5)
    except (RuntimeError, OSError) as error:
        raise MissingError(f"{URL} cannot be fetched to {parent.resolve()}: {error}. Try again.") from error


def _official_val(folder: Path) -> Labelled:
    """The images of `val/images` with their wnids by `val_annotations.txt`; none if the images lie elsewhere."""
    images = {path.name: path for path in images_in(folder / "images")}
    if not images:
        return []
    table = folder / "val_annotations.txt"
    if not table.is_file():
        raise MissingError(f"no {table}, which holds the labels of {folder / 'images'}. Unpack the archive again.")
    rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line]
    for row in rows:
        if len(row) < 2 or row[0] not in images:
            raise MissingError(f"{table} names {row[0]!r}, which is not in {folder / 'images'}. Unpack it again.")
    return [(images[row[0]], row[1]) for row in rows]


def _in_folders(folder: Path, wnids: list[str]) -> Labelled:
    """The images of `<wnid>/images` or `<wnid>`, by class."""
    return [(path, wnid) for wnid in wnids for path in images_in(folder / wnid / "images") or images_in(folder / wnid)]
