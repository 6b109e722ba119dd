"""The layout of CIFAR-10-C: an array for each corruption, all severities one after the other."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rbench.corruptions.tables import SEVERITIES
from rbench.files import sha256, write_atomically
from rbench.making.layouts import Block, Images, Shape, explained, starts

LABELS = "labels.npy"


class Arrays:
    """`<corruption>.npy`, uint8 [5n, H, W, 3], severity s in the rows (s - 1)n to sn; `labels.npy`, as long.

    A file under work has a hidden name, and beside it a list of the blocks that are on the disk.
    """

    def __init__(self, folder: Path, shape: Shape, labels: Sequence[int]) -> None:
        self._folder, self._shape = folder, shape
        kind = np.uint8 if max(labels) < 256 else np.int64  # bytes, as in the authors' files
        self._labels = np.tile(np.asarray(labels, dtype=kind)[: shape[0]], len(SEVERITIES))

    def _part(self, corruption: str) -> Path:
        return self._folder / f".{corruption}.npy.part"

    def _list(self, corruption: str) -> Path:
        return self._folder / f".{corruption}.npy.blocks"

    def _line(self, block: Block) -> str:
        """How a block is listed: its severity, its first sample, and how many a block has, should that ever change."""
        return f"{block[0]} {block[1]} {starts(self._shape).step}\n"

    def left(self, corruption: str) -> list[Block]:
        """The blocks that are not listed; makes sure that there is a file to write them to."""
        part, listed = self._part(corruption), self._list(corruption)
        if (self._folder / f"{corruption}.npy").exists():
            return []
        count, height, width = self._shape
        with explained(self._folder):
            if not part.exists():
                listed.unlink(missing_ok=True)
                _reserve(part, (len(SEVERITIES) * count, height, width, 3))
            # A last line that was torn lacks its end, and equals none.
            done = set(listed.read_text().splitlines(keepends=True)) if listed.exists() else set()
        blocks = [(severity, start) for severity in SEVERITIES for start in starts(self._shape)]
        return [block for block in blocks if self._line(block) not in done]

    def found(self, corruption: str, severity: int, samples: Sequence[int]) -> list[str] | None:  # noqa: ARG002
        """Nothing: the list alone tells what is written."""
        return None

    def write(self, corruption: str, severity: int, samples: Sequence[int], images: Images) -> list[str]:
        """Put the images into their rows."""
        path, (count, height, width) = self._part(corruption), self._shape
        row = (severity - 1) * count + samples[0]
        with explained(self._folder):
            beginning = np.load(path, mmap_mode="r").offset
            with path.open("r+b") as file:  # a full disk is an error here; through a memory map it would be a signal
                file.seek(beginning + row * height * width * 3)
                file.write(images.tobytes())
        return []

    def commit(self, corruption: str, written: Mapping[Block, list[str]]) -> None:
        """List blocks, once they are on the disk."""
        with explained(self._folder):
            with self._part(corruption).open("r+b") as file:
                os.fsync(file.fileno())
            with self._list(corruption).open("a") as file:
                file.write("".join(map(self._line, written)))

    def finish(self, corruption: str) -> dict[str, str]:
        """Rename the file to what it is, with the labels beside it."""
        path, labels = self._folder / f"{corruption}.npy", self._folder / LABELS
        with explained(self._folder):
            sink = io.BytesIO()
            np.save(sink, self._labels)
            if not labels.exists() or labels.read_bytes() != sink.getvalue():
                write_atomically(labels, sink.getvalue())
            if not path.exists():
                self._part(corruption).replace(path)
            self._list(corruption).unlink(missing_ok=True)
            return {path.name: sha256(path), LABELS: sha256(labels)}

    def discard(self, parts: Sequence[str]) -> None:
        """Remove files; `finish` sees to the labels."""
        with explained(self._folder):
            for name in parts:
                (self._folder / name).unlink()


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Create a .npy file of zeros, with all its space on the disk where the system can promise it."""
    beginning = path.with_name(f"{path.name}.tmp")
    rows: Any = np.lib.format.open_memmap(beginning, mode="w+", dtype=np.uint8, shape=shape)
    del rows
    if hasattr(os, "posix_fallocate"):
        with beginning.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, beginning.stat().st_size)
    beginning.replace(path)
