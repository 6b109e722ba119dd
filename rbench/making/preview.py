"""All corruptions of one image on a contact sheet."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.corruptions.generators import Generator, GeneratorName
from rbench.corruptions.tables import CORRUPTIONS, GROUPS, SEVERITIES
from rbench.errors import MissingError, UsageError
from rbench.files import write_atomically
from rbench.making.data import call_of, colour_images
from rbench.making.frost import frost_of, frost_source
from rbench.making.layouts import Images, explained
from rbench.rng import checked_seed
from rbench.sources import data_source, loaded

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 224
SAMPLE = "china.jpg"  # of scikit-learn: has sky, edges, texture and colours


def preview(
    file: str | Path,
    *,
    data: str | None = None,
    image: str | Path | None = None,
    size: int | None = None,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    generator: GeneratorName = "hendrycks",
    table: int | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    download: bool = False,
    frost: str | Path | None = None,
) -> Path:
    """Write a PNG with a row for each corruption: the clean image, then its severities; returns its path.

    The image is the first one of a dataset, or a file, resized and cropped to `size` pixels (224 by default); without
    either, a photograph that comes with scikit-learn. It is corrupted as sample 0 of a dataset would be.
    """
    from rbench.report.contact_sheet import contact_sheet

    path = Path(file)
    if path.suffix.lower() != ".png" or path.is_dir():
        raise UsageError(f"{path} is no name for a picture; write --preview FILE.png.")
    if data is not None and (image is not None or size is not None):
        raise UsageError("--data shows the first image of a dataset as it is; leave out --image and --size.")
    maker, numbers = Generator(generator, table), tuple(sorted(set(severities)))
    with data_source(data_dir, download), frost_source(frost):
        name, clean = _first_of(data) if data is not None else _picture(image, SIZE if size is None else size)
        versions = {
            corruption: [_corrupted(clean, maker, corruption, severity, checked_seed(seed)) for severity in numbers]
            for corruption in dict.fromkeys(corruptions)
        }
        icy = f"; frost: {frost_of()['source']}" if "frost" in versions else ""
    columns = [f"severity {severity}" for severity in numbers]
    constants = f" with the constants of {table} pixels" if table is not None else ""
    height, width = clean.shape[-2:]
    note = f"{name}, {width} x {height} pixels; generator {generator}{constants}; seed {seed}{icy}"
    page = contact_sheet(_pixels(clean), versions, columns, GROUPS, "Common corruptions", note)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page)
    return path


def _corrupted(clean: "Tensor", maker: Generator, corruption: str, severity: int, seed: int) -> Images:
    """One version of an image [1, 3, H, W], as [H, W, 3]."""
    import torch

    from rbench.corruptions.corrupt import corrupted

    return _pixels(corrupted(clean, corruption, severity, maker, seed, torch.zeros(1).long()))


def _pixels(image: "Tensor") -> Images:
    pixels: Images = image[0].permute(1, 2, 0).contiguous().numpy()
    return pixels


def _first_of(data: str) -> tuple[str, "Tensor"]:
    """The first image of a dataset, and what to call it."""
    dataset = loaded(call_of(data))
    return f"{dataset.name}, image 0", colour_images(dataset, [0])


def _picture(file: str | Path | None, size: int) -> tuple[str, "Tensor"]:
    """A file's image as a square of `size` pixels, and what to call it; the shorter side is scaled to `size`."""
    import torch
    from PIL import Image

    from rbench.data.image_files import Square

    if size < 1:
        raise UsageError(f"size = {size} must be at least 1.")
    path = Path(file) if file is not None else _sample()
    try:
        with Image.open(path) as image:
            square = Square(size, resize=size)(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:  # Pillow reports a broken PNG as a SyntaxError
        raise MissingError(f"{path} is no image that can be read: {error}.") from error
    return path.name, torch.from_numpy(square.copy())[None]


def _sample() -> Path:
    from importlib.resources import files

    return Path(str(files("sklearn.datasets").joinpath("images", SAMPLE)))
