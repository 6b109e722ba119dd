"""ImageNet (Russakovsky et al., IJCV 2015): the validation images of ILSVRC 2012, from a folder that the user names."""

import re
from pathlib import Path
from typing import Literal

import numpy as np

from rbench.data.image_files import ImageFiles, Square, complete, images_in, natural
from rbench.data.official import data_root
from rbench.errors import MissingError

FOLDERS = ("imagenet", "ILSVRC2012", ".")
PARTS = ("val", "ILSVRC2012_img_val")
DEVKIT = Path("ILSVRC2012_devkit_t12/data")
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
CLASSES = 1000
EACH = 50
Labelled = list[tuple[Path, str]]


def imagenet(
    split: Literal["val"] = "val",
    resize: int = 256,
    crop: int = 224,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
) -> ImageFiles:
    """ImageNet's 50,000 validation images, uint8 [n, 3, crop, crop], 1,000 classes: the ranks of the sorted wnids.

    The shorter side is scaled to `resize` pixels, then the centre is cut out: this is part of the data and of its
    digest. The order is by class, then by number, whether the images lie in `val/<wnid>` or flat, as the official
    archive has them, beside the unpacked devkit, which labels them. Raises `MissingError` with the remedy.
    """
    folder = _folder(split)
    found = _in_folders(folder) or _flat(folder)
    wnids = sorted({wnid for _, wnid in found})
    if len(wnids) != CLASSES:
        raise MissingError(f"{folder} holds images of {len(wnids)} classes, not {CLASSES}. Unpack it again.")
    found.sort(key=lambda pair: (pair[1], natural(pair[0].name)))
    ranks = {wnid: rank for rank, wnid in enumerate(wnids)}
    labels = np.array([ranks[wnid] for _, wnid in found], dtype=np.int64)
    complete("ImageNet", folder, labels, wnids, EACH)
    files = tuple(path for path, _ in found)
    return ImageFiles("imagenet", CLASSES, files, labels, Square(crop, resize, interpolation), tuple(wnids))


def _folder(split: str) -> Path:
    """The folder of the validation images."""
    parent = data_root()
    for folder in (parent / name / part for name in FOLDERS for part in PARTS):
        if folder.is_dir():
            return folder
    raise MissingError(
        f"no ImageNet in {parent.resolve()}: neither imagenet/{split} nor {split}. Its licence forbids to fetch it for "
        f"you: get ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz from image-net.org, unpack both, and name "
        f"their folder with --data-dir or $RBENCH_DATA."
    )


def _in_folders(folder: Path) -> Labelled:
    """The images of `<wnid>/`; none if there are no such folders."""
    wnids = [path.name for path in folder.iterdir() if re.fullmatch(r"n\d{8}", path.name) and path.is_dir()]
    return [(path, wnid) for wnid in wnids for path in images_in(folder / wnid)]


def _flat(folder: Path) -> Labelled:
    """The images of the official archive, named by their number, with the wnids that the devkit gives them."""
    images = images_in(folder)
    numbers = [int(match[1]) if (match := re.search(r"_val_(\d{8})", path.name)) else 0 for path in images]
    if not images or not all(numbers):
        raise MissingError(
            f"{folder} holds neither images in folders named by wnid, such as n01440764, nor files such as "
            f"ILSVRC2012_val_00000001.JPEG; other names do not tell the classes. Unpack ILSVRC2012_img_val.tar again."
        )
    truth = _truth(folder)
    if max(numbers) > len(truth):
        raise MissingError(f"{folder} has image {max(numbers)}, but {TRUTH} has {len(truth)} lines. Unpack both again.")
    return [(path, truth[number - 1]) for path, number in zip(images, numbers, strict=True)]


def _truth(folder: Path) -> list[str]:
    """The wnid of every validation image by its number: the devkit's labels are ids that its meta.mat explains."""
    from scipy.io import loadmat

    kit = folder.parent / DEVKIT
    for name in (TRUTH, "meta.mat"):
        if not (kit / name).is_file():
            raise MissingError(
                f"{folder} is flat, and there is no {kit / name} to label its images. Unpack "
                f"ILSVRC2012_devkit_t12.tar.gz in {folder.parent}, or sort the images into folders named by wnid."
            )
    try:
        synsets = loadmat(kit / "meta.mat", squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy are listed too; the classes are its leaves.
        leaves = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
        return [leaves[int(line)] for line in (kit / TRUTH).read_text().split()]
    except Exception as error:
        raise MissingError(f"{kit} is no intact devkit: {type(error).__name__}: {error}. Unpack it again.") from error
