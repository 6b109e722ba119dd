"""Folders that hold the samples of a dataset in another form: where they lie, and their files joined to the samples."""

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rbench.data.checksums import ARCHIVES, Archive
from rbench.data.groups import Against
from rbench.data.image_files import ImageFiles, natural
from rbench.data.official import data_root
from rbench.datasets import Dataset
from rbench.errors import MissingError, UsageError
from rbench.files import digest_of
from rbench.types import IntArray

GROUPED = ("noise", "blur", "weather", "digital", "extra")  # the archives of ImageNet-C; some trees keep their names


@dataclass(frozen=True)
class FileView:
    """A view (see `rbench.datasets`) whose samples are files in the folders of `cells`, one a group.

    `names` are paths below those folders, in the order of the samples; `like` has the labels and reads the files.
    """

    groups: tuple[int, ...]
    frames: int
    against: Against
    provenance: Mapping[str, str]
    like: ImageFiles
    cells: Mapping[int, Path]
    names: Mapping[int, tuple[str, ...]]

    def images(self, samples: IntArray, group: int) -> npt.NDArray[Any]:
        """The uint8 images [n, frames, 3, H, W] of some samples in one group.

        Raises `MissingError` for a broken file.
        """
        found = self._part(samples, group).images(np.arange(len(samples)))
        return found.reshape(len(found), self.frames, *found.shape[-3:])

    @cached_property
    def digest(self) -> str:
        """The sha256 of the digests of all groups; see `ImageFiles.digest` for what they see."""
        everything = np.arange(len(self.like.labels))
        try:
            return digest_of({str(group): self._part(everything, group).digest for group in self.groups})
        except OSError as error:
            raise MissingError(f"{self.like.name} is not intact: {error}. Unpack it again.") from error

    def _part(self, samples: IntArray, group: int) -> ImageFiles:
        cell, names = self.cells[group], self.names[group]
        files = tuple(cell / names[sample] for sample in samples)
        return replace(self.like, files=files, labels=self.like.labels[samples])


def folder_of(folder: str) -> Path | None:
    """The folder of that name below the data folder, or the one whose name differs in case, "-" and "_" only.

    Copies are called ImageNet-C, imagenet_c or ImageNetC. Raises `MissingError` if there are several.
    """
    exact = data_root() / folder
    if exact.is_dir():
        return exact
    parent = exact.parent
    near = [path for path in _folders_in(parent) if _plain(path.name) == _plain(exact.name)]
    if len(near) > 1:
        raise MissingError(f"{near[0]} and {near[1]} could both be {folder}. Rename one of them, or give its name.")
    return near[0] if near else None


def required(folder: str, name: str) -> Path:
    """The folder that holds a corruption or perturbation; raises `MissingError` with its source."""
    if (found := folder_of(folder)) is None:
        raise MissingError(
            f"no {folder} in {data_root().resolve()}. {remedy(folder, name)}, or name the folder that holds it with "
            f"--data-dir or $RBENCH_DATA."
        )
    return found


def official_name(folder: str) -> str:
    """The name that a folder has in `checksums`, whatever its spelling; empty if it is not known there."""
    return next((known for known in ARCHIVES if _plain(known) == _plain(Path(folder).name)), "")


def remedy(folder: str, name: str) -> str:
    """What to unpack to have a corruption or perturbation, as a sentence without its full stop."""
    for archive in ARCHIVES.get(official_name(folder), ()):
        if not archive.holds or name in archive.holds:
            return f"Unpack {_cited(archive)} there"
    return "Unpack it again"


def _cited(archive: Archive) -> str:
    return f"{archive.name} of {archive.place}" + (f" (md5 {archive.md5})" if archive.md5 else "")


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def places(root: Path) -> list[Path]:
    """The folders that may hold corruptions: the root, and the folders of the archives of ImageNet-C in it."""
    return [root, *(root / group for group in GROUPED if (root / group).is_dir())]


def joined(dataset: Dataset, cell: Path, suffixes: tuple[str, ...], advice: str) -> tuple[str, ...]:
    """The files of `<cell>/<wnid>/<stem>.*`, as paths below the cell, in the order of the dataset's files.

    A file belongs to the sample with its stem in the class that is its wnid's rank. Raises `MissingError` unless there
    is exactly one file a sample, and `UsageError` for a dataset that is not made of files.
    """
    if not isinstance(dataset, ImageFiles):
        raise UsageError(f"{cell} goes with a dataset of image files, such as ImageNet; {dataset.name!r} is none.")
    wnids = classes_in(cell)
    if len(wnids) != dataset.classes:
        raise MissingError(f"{cell} holds folders of {len(wnids)} classes, not {dataset.classes}. {advice}.")
    wanted = [(wnids[label], path.stem) for path, label in zip(dataset.files, dataset.labels.tolist(), strict=True)]
    names = listed(cell, suffixes)
    found = {_key(name): name for name in names}
    if found.keys() == set(wanted) and len(found) == len(names) == len(wanted):
        return tuple([found[key] for key in wanted])
    have, want = Counter(map(_key, names)), Counter(wanted)
    if lost := want - have:
        raise MissingError(
            f"{cell} lacks {lost.total()} of the {len(wanted)} files of {dataset.name}, such as "
            f"{'/'.join(min(lost))}. {advice}."
        )
    extra = have - want
    raise MissingError(
        f"{cell} has {extra.total()} files more than the {len(wanted)} of {dataset.name}, such as "
        f"{'/'.join(min(extra))}. {advice}."
    )


def _key(name: str) -> tuple[str, str]:
    wnid, _, file = name.partition("/")
    return wnid, file.rpartition(".")[0]


def classes_in(cell: Path) -> list[str]:
    """The names of the folders in a folder, sorted."""
    return sorted(path.name for path in _folders_in(cell))


def listed(cell: Path, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """All files `<wnid>/<name>` of a cell that have one of the suffixes, by class, then `x_2` before `x_10`."""
    stamps = tuple((wnid, (cell / wnid).stat().st_mtime_ns) for wnid in classes_in(cell))
    return _listed(cell, stamps, suffixes)


@lru_cache(maxsize=512)
def _listed(cell: Path, stamps: Sequence[tuple[str, int]], suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """Cached, as 50,000 names take a moment and a suite asks more than once; a folder's time says if it changed."""
    found = []
    for wnid, _ in stamps:
        with os.scandir(cell / wnid) as entries:
            names = [e.name for e in entries if e.name.lower().endswith(suffixes) and e.name[0] != "." and e.is_file()]
        # The names are the same in every cell: interned, they are in memory once.
        found += [sys.intern(f"{wnid}/{name}") for name in sorted(names, key=natural)]
    return tuple(found)


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, hidden ones left out; none if there is no such folder."""
    return [path for path in folder.iterdir() if path.name[0] != "." and path.is_dir()] if folder.is_dir() else []
