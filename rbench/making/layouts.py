"""What the two layouts of a dataset on disk have in common."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from rbench.errors import StoreError

Form = Literal["npy", "folders"]
FORMS = ("npy", "folders")
Block = tuple[int, int]  # a severity and the first sample
Images = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]  # of the images of one severity: count, height, width
BLOCK_PIXELS, BLOCK_LEAST = 2**17, 8  # of a block: 8 images of 224 pixels, 32 of 64, 128 of 32


class Layout(Protocol):
    """Where images go; one process owns the folder, while `write` is called for each block in any one."""

    def left(self, corruption: str) -> list[Block]:
        """The blocks of a corruption that are not known to be written."""
        ...

    def found(self, corruption: str, severity: int, samples: Sequence[int]) -> list[str] | None:
        """What `write` answered, for a block that turns out to be there already."""
        ...

    def write(self, corruption: str, severity: int, samples: Sequence[int], images: Images) -> list[str]:
        """Store the images [n, H, W, 3] of some samples; the answer goes to `commit`."""
        ...

    def commit(self, corruption: str, written: Mapping[Block, list[str]]) -> None:
        """Remember that blocks are written."""
        ...

    def finish(self, corruption: str) -> dict[str, str]:
        """Give a corruption, all of whose blocks are written, its final form; the digests of its parts by name."""
        ...

    def discard(self, parts: Sequence[str]) -> None:
        """Remove parts, by the names that `finish` gave them, since they are not what they were."""
        ...


def starts(shape: Shape) -> range:
    """The first samples of all blocks; they depend on nothing but the shape, lest the bytes depend on more."""
    count, height, width = shape
    return range(0, count, max(BLOCK_LEAST, BLOCK_PIXELS // (height * width)))


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about the output folder into a sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error.strerror or error}. What is finished stays; mend that and run the same "
            "command again, or name another folder."
        ) from error
