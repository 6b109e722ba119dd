"""Pictures of frost: the authors' photographs where they are at hand, else made ones.

Nobody has said who owns the photographs or under which licence they are, so they are never shipped: they are read from
the folder that RBENCH_FROST names, or from an installed package `imagecorruptions`.
"""

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from rbench.corruptions.frost_resize import cubic, linear
from rbench.corruptions.frost_texture import VERSION, textures
from rbench.errors import MissingError

VARIABLE = "RBENCH_FROST"
# github.com/hendrycks/robustness at 8190fe3, ImageNet-C/imagenet_c/imagenet_c/frost; frost6.jpg is never drawn, and
# frost2.png and frost3.png show the same.
PHOTOGRAPHS: Mapping[str, str] = MappingProxyType({
    "frost1.png": "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
    "frost2.png": "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
    "frost3.png": "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
    "frost4.jpg": "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
    "frost5.jpg": "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
})  # fmt: skip
SIZES = ((600, 900), (315, 560), (315, 560), (350, 527), (495, 660))
RESIZES = MappingProxyType({"linear": linear, "cubic": cubic})


@dataclass(frozen=True)
class Pictures:
    """Pictures of frost, uint8 [5, 3, H, W], each in the upper left, and their heights and widths, int64 [5, 2]."""

    pixels: Tensor
    sizes: Tensor


def source() -> Literal["photographs", "procedural"]:
    """Where frost comes from; made frost is not the benchmark's, and what it gives must not be compared with that."""
    return "photographs" if _folder() else "procedural"


def digest() -> str:
    """What frost is made of: the photographs' digests or the version of the made textures, hashed; no file is read."""
    made_of = " ".join(PHOTOGRAPHS.values()) if _folder() else f"procedural {VERSION}"
    return hashlib.sha256(made_of.encode()).hexdigest()


def pictures(resize: Literal["linear", "cubic"], factors: tuple[float, ...], device: torch.device) -> Pictures:
    """The five pictures scaled by a factor each, on a device; what was made once is kept.

    Raises `MissingError` for a photograph that is missing or another than the authors'.
    """
    return _pictures(_folder(), resize, factors, device)


@lru_cache(maxsize=16)
def _pictures(folder: Path | None, resize: str, factors: tuple[float, ...], device: torch.device) -> Pictures:
    originals = _originals(folder)
    scaled = [x if f == 1 else RESIZES[resize](x, f) for x, f in zip(originals, factors, strict=True)]
    sizes = torch.tensor([x.shape[1:] for x in scaled])
    height, width = sizes.amax(0).tolist()
    pixels = torch.zeros(len(scaled), 3, height, width, dtype=torch.uint8)
    for page, x in zip(pixels, scaled, strict=True):
        page[:, : x.shape[1], : x.shape[2]] = x
    return Pictures(pixels.to(device), sizes.to(device))


@lru_cache(maxsize=1)
def _originals(folder: Path | None) -> tuple[Tensor, ...]:
    """The five pictures as they are, uint8 [3, height, width]."""
    if folder is None:
        return textures()
    return tuple(_photograph(folder / name, expected) for name, expected in PHOTOGRAPHS.items())


def _photograph(file: Path, expected: str) -> Tensor:
    """A photograph without its opacity, uint8 [3, height, width]."""
    remedy = f"name a folder with the authors' {', '.join(PHOTOGRAPHS)} in {VARIABLE}, or reinstall imagecorruptions."
    if not file.is_file():
        raise MissingError(f"the photograph of frost {file} is missing; {remedy}")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise MissingError(f"{file} has the SHA-256 {found[:16]}..., expected {expected[:16]}...; {remedy}")
    return pil_to_tensor(Image.open(io.BytesIO(content)).convert("RGB"))


def _folder() -> Path | None:
    """Where photographs should be, or None where there are none."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    # The package is found, not imported: its import fails or warns with the libraries of today.
    spec = find_spec("imagecorruptions")
    for place in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(place, "frost")).is_dir():
            return folder
    return None
