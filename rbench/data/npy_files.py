"""Images in the rows of `.npy` files that stay on the disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.data.checksums import FILES
from rbench.data.folders import official_name
from rbench.data.groups import Against
from rbench.data.made import maker_of
from rbench.errors import MissingError
from rbench.files import digest_of
from rbench.types import IntArray


@dataclass(frozen=True)
class NpyView:
    """A view (see `rbench.datasets`) whose images are rows of files.

    `files` has the file of each group and `starts` its row of the first sample; a row is [frames, H, W, 3] or, if there
    is one frame, [H, W, 3].
    """

    groups: tuple[int, ...]
    frames: int
    against: Against
    folder: str
    labels: IntArray
    files: Mapping[int, Path]
    starts: Mapping[int, int]

    def images(self, samples: IntArray, group: int) -> npt.NDArray[Any]:
        """The uint8 images [n, frames, 3, H, W] of some samples in one group; nothing else is read."""
        start = self.starts[group]
        rows = opened(self.files[group])[start : start + len(self.labels)][samples]
        images = rows.reshape(len(rows), self.frames, *rows.shape[-3:])
        return np.ascontiguousarray(images.transpose(0, 1, 4, 2, 3))

    @cached_property
    def digest(self) -> str:
        """The sha256 of all bytes of the files, and of the labels."""
        labels = hashlib.sha256(self.labels.astype("<i8").tobytes()).hexdigest()
        files = {str(group): [hashed(self.files[group], "sha256"), self.starts[group]] for group in self.groups}
        return digest_of({"files": files, "labels": labels})

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        """The folder, and whether the files are the official ones by their MD5; "unknown" if none is published.

        Files that `rbench corrupt` made say how instead.
        """
        path = next(iter(self.files.values()))
        if made := maker_of(path.parent, path.stem):
            return {"files": self.folder, **made}
        published = FILES.get(official_name(self.folder), {})
        known = {path: published[path.name] for path in self.files.values() if path.name in published}
        other = sorted({path.name for path, md5 in known.items() if hashed(path, "md5") != md5})
        official = "unknown" if not known else "no" if other else "yes"
        changed = {"changed": ", ".join(other)} if other else {}
        return {"source": "files", "files": self.folder, "official": official, **changed}


def opened(path: Path, advice: str = "Unpack it again") -> npt.NDArray[Any]:
    """The array of a `.npy` file, mapped and not read; raises `MissingError` for what is none, or is cut short."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise MissingError(f"no {path}. {advice}.") from None
    except Exception as error:  # a damaged header is parsed as Python and fails in many ways
        raise MissingError(f"{path} is no intact .npy file: {error}. {advice}.") from error


def shape_of(path: Path, shape: tuple[int | None, ...], advice: str) -> tuple[int, ...]:
    """The shape of a file of uint8 images; raises `MissingError` unless it is the one given (None is any number)."""
    array = opened(path, advice)
    fits = array.ndim == len(shape) and all(k in (None, m) for k, m in zip(shape, array.shape, strict=True))
    if array.dtype != np.uint8 or not fits:
        wanted = str(list(shape)).replace("None", "frames")
        raise MissingError(f"{path} has {described(array)}, not uint8 {wanted}. {advice}.")
    return array.shape


def described(array: npt.NDArray[Any]) -> str:
    """Type and shape of an array: "uint8 [50000, 32, 32, 3]"."""
    return f"{array.dtype} {list(array.shape)}"


def hashed(path: Path, kind: str) -> str:
    """The digest of a file's bytes, kept for as long as its size and time stay the same."""
    stat = path.stat()
    return _hashed(path, kind, (stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=512)
def _hashed(path: Path, kind: str, _unchanged: tuple[int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
