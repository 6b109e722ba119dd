"""A dataset of image files, too large for memory: each is decoded when it is asked for."""

import hashlib
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbench.errors import MissingError
from rbench.files import canonical_json
from rbench.types import IntArray

HASHED = 512  # files whose bytes enter the digest: 60 MB of ImageNet, read in about a second
SUFFIXES = (".jpeg", ".jpg", ".png")


@dataclass(frozen=True)
class Square:
    """How an image becomes `size` x `size` pixels: shorter side to `resize` if given, then the centre crop."""

    size: int
    resize: int | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """The RGB image as uint8 [3, size, size], resized (with anti-aliasing) and cropped by torchvision.

        Raises `ValueError` if it is not to be resized and has another size.
        """
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F

        if self.resize is not None:
            image = F.resize(image, self.resize, InterpolationMode(self.interpolation))
            image = F.center_crop(image, self.size)
        if image.size != (self.size, self.size):
            raise ValueError(f"it has {image.width} x {image.height} pixels, not {self.size} x {self.size}")
        return np.asarray(image).transpose(2, 0, 1)


@dataclass(frozen=True)
class ImageFiles:
    """Labelled image files, decoded on demand to uint8 [n, 3, size, size]; only what is asked for is in memory.

    `names` are those of the classes, by label, where they have any.
    """

    name: str
    classes: int
    files: tuple[Path, ...]
    labels: IntArray
    transform: Square
    names: tuple[str, ...] = ()

    def images(self, indices: IntArray) -> npt.NDArray[Any]:
        """The uint8 images at `indices`, in that order; raises `MissingError` for a file that cannot be decoded."""
        return np.stack([self._decode(self.files[index]) for index in indices])

    def _decode(self, path: Path) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                return self.transform(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:  # Pillow reports a broken PNG as a SyntaxError
            raise MissingError(f"{path} is no intact image of {self.name}: {error}. Unpack it again.") from error

    @cached_property
    def digest(self) -> str:
        """The sha256 of the transform, of every file's name, size and label, and of the contents of `HASHED` files.

        These are spread evenly, the first and the last among them, since to hash all of ImageNet would take minutes. A
        lost, renamed, reordered, relabelled or truncated file always changes the digest; an edit that keeps a file's
        length does only if it meets the spread. Folders do not count: two layouts of the same files have one digest.
        """
        word = hashlib.sha256(canonical_json(asdict(self.transform)).encode())
        for path, label in zip(self.files, self.labels.tolist(), strict=True):
            word.update(canonical_json([path.name, path.stat().st_size, label]).encode())
        for index in np.unique(np.linspace(0, len(self.files) - 1, HASHED).round().astype(int)):
            word.update(self.files[index].read_bytes())
        return word.hexdigest()


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, `x_2` before `x_10`; empty if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.lower().endswith(SUFFIXES) and e.name[0] != "." and e.is_file()]
    return [folder / name for name in sorted(names, key=natural)]


def natural(name: str) -> tuple[int, str]:
    """A key that sorts names of one prefix by the number in them."""
    return len(name), name


def complete(name: str, where: Path, labels: IntArray, wnids: list[str], each: int) -> None:
    """Refuse a dataset that does not hold `each` images of every class; raises `MissingError`."""
    counts = np.bincount(labels, minlength=len(wnids))
    for wnid, count in zip(wnids, counts.tolist(), strict=True):
        if count != each:
            raise MissingError(
                f"{where} is no complete {name}: {len(labels)} images instead of {each * len(wnids)}, "
                f"{count} instead of {each} of {wnid}. Unpack it again."
            )
