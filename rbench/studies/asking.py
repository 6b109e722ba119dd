"""How models are asked where a figure needs answers that are not stored yet."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asking:
    """The device, None for a GPU where there is one, the folder of datasets, and whether to fetch and to tell."""

    device: str | None = None
    data_dir: str | Path | None = None
    download: bool = False
    progress: bool = False
