"""The layout of ImageNet-C: JPEG files in a folder for each corruption, severity and class."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from rbench.making.data import Names
from rbench.making.layouts import Block, Images, Shape, explained, starts

QUALITY = 85  # of the authors' files; colours are stored at half the resolution, Pillow's default
END = b"\xff\xd9"  # of every JPEG file


class Folders:
    """`<corruption>/<severity>/<class>/<stem>.JPEG`.

    A file appears by a rename, whole or not at all, and what is there is not made again.
    """

    def __init__(self, folder: Path, shape: Shape, severities: Sequence[int], names: Names) -> None:
        self._folder, self._shape, self._severities, self._names = folder, shape, severities, names
        self._digests: dict[Block, list[str]] = {}

    def left(self, corruption: str) -> list[Block]:  # noqa: ARG002
        """All blocks: whoever is to write one looks first whether it is there."""
        self._digests = {}
        return [(severity, start) for severity in self._severities for start in starts(self._shape)]

    def _files(self, corruption: str, severity: int, samples: Sequence[int]) -> list[Path]:
        folder = self._folder / corruption / str(severity)
        return [folder / self._names.path(sample) for sample in samples]

    def found(self, corruption: str, severity: int, samples: Sequence[int]) -> list[str] | None:
        """The sha256 of the files of some samples, or None unless all are there, to their ends."""
        contents = []
        for path in self._files(corruption, severity, samples):
            content = path.read_bytes() if path.is_file() else b""
            if not content.endswith(END):  # of a file that was written as the power failed, often a part is left
                return None
            contents.append(content)
        return [hashlib.sha256(content).hexdigest() for content in contents]

    def write(self, corruption: str, severity: int, samples: Sequence[int], images: Images) -> list[str]:
        """Store the images of some samples; the sha256 of their files."""
        digests = []
        for path, image in zip(self._files(corruption, severity, samples), images, strict=True):
            sink = io.BytesIO()
            Image.fromarray(image).save(sink, "JPEG", quality=QUALITY, optimize=True)
            with explained(self._folder):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}.tmp")  # of one name, so that no kill leaves one for good
                temporary.write_bytes(sink.getvalue())
                temporary.replace(path)
            digests.append(hashlib.sha256(sink.getvalue()).hexdigest())
        return digests

    def commit(self, corruption: str, written: Mapping[Block, list[str]]) -> None:  # noqa: ARG002
        """Keep the digests of blocks."""
        self._digests.update(written)

    def finish(self, corruption: str) -> dict[str, str]:
        """For each `<corruption>/<severity>` the sha256 of what `sha256sum` lists for its files, sorted by path."""
        found = {}
        for severity in self._severities:
            base = f"{corruption}/{severity}"
            digests = [digest for start in starts(self._shape) for digest in self._digests[severity, start]]
            paths = [f"{base}/{self._names.path(sample)}" for sample in range(len(digests))]
            listing = "".join(f"{digest}  {path}\n" for path, digest in sorted(zip(paths, digests, strict=True)))
            found[base] = hashlib.sha256(listing.encode()).hexdigest()
        return found

    def discard(self, parts: Sequence[str]) -> None:
        """Remove the files of some `<corruption>/<severity>`."""
        with explained(self._folder):
            for part in parts:
                for sample in range(self._shape[0]):
                    (self._folder / part / self._names.path(sample)).unlink()
