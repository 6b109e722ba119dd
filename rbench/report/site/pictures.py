"""Pictures of a sample: clean, changed and their difference, as PNG files that say in words what they show."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbench.report.site.exhibits import Example
from rbench.types import FloatArray

Pixels = npt.NDArray[np.uint8]
FACTORS = (100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5)  # of differences: the greatest that keeps them within the greys
GREY = 128
SMALLEST = 96  # pixels of a picture's shorter side on the page: smaller images are magnified, each pixel to a square


@dataclass(frozen=True)
class Tile:
    """One picture: what stands below it, what it says to those who cannot see it, its file, and its size on a page."""

    title: str
    alt: str
    file: str
    content: bytes
    width: int
    height: int
    magnified: bool


def largest(example: Example) -> float:
    """The largest change of a pixel, in units of [0, 1]."""
    return float(np.abs(example.changed - example.clean).max())


def factor_of(change: float) -> float:
    """By how much a difference is magnified whose pixels change by up to `change`: to half of the range at most."""
    return next(factor for factor in FACTORS if factor * change < 0.501)  # float32 may put a change above its eps


def tiles(example: Example, title: str, what: str, factor: float, distance: str = "") -> tuple[Tile, ...]:
    """A sample in three pictures; the second is called `title`, shows `what`, and lies at a `distance` if any."""
    sample = f"Sample {example.sample}, class {example.label}"
    moved = f"The difference, {factor:g} times around grey; no pixel changes by more than {largest(example):.3g}"
    return (
        _tile("clean", f"{sample}, clean: predicted {example.label}", in_bytes(example.clean)),
        _tile(title, f"{sample}, under {what}: predicted {example.now.pred}{distance}", in_bytes(example.changed)),
        _tile(f"difference x {factor:g}", moved, difference(example, factor)),
    )


def in_bytes(image: FloatArray) -> Pixels:
    """An image in [0, 1] as bytes, each the nearest."""
    return np.floor(image * 255 + 0.5).astype(np.uint8)


def difference(example: Example, factor: float) -> Pixels:
    """What a sample was changed by, `factor` times, around grey."""
    moved = np.round(255 * factor * (example.changed - example.clean))
    return np.clip(GREY + moved, 0, 255).astype(np.uint8)


def _tile(title: str, alt: str, pixels: Pixels) -> Tile:
    """A picture of an image [C, H, W] under the name of its digest, so that equal ones are one file."""
    height, width = pixels.shape[1:]
    times = -(-SMALLEST // min(height, width))
    content = png(pixels)
    name = f"{hashlib.sha256(content).hexdigest()[:20]}.png"
    return Tile(title, alt, name, content, width * times, height * times, times > 1)


def png(pixels: Pixels) -> bytes:
    """The PNG of an image [C, H, W] of one channel or three, which it holds as they are; three equal ones as one."""
    from PIL import Image

    grey = bool((pixels == pixels[:1]).all())
    sink = io.BytesIO()
    Image.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0)).save(sink, "PNG", optimize=True)
    return sink.getvalue()
