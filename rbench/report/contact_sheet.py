"""One image in many versions: a PNG with a row for each corruption and a column for each severity."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
SMALLEST = 128  # pixels of a tile's shorter side: smaller images are magnified, each pixel to a square
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F")  # of groups: Okabe and Ito's palette, and grey
INK, PAPER, FAINT = "#222222", "#FFFFFF", "#666666"


@dataclass(frozen=True)
class Grid:
    """Where everything stands, in pixels: tiles of width x height, right of the names of their rows."""

    width: int
    height: int
    names: tuple[str, ...]

    @property
    def text(self) -> int:
        """The size of labels, and the margin around everything."""
        return max(14, min(self.width, self.height) // 9)

    @property
    def small(self) -> int:
        """The size of the note."""
        return self.text * 4 // 5

    @property
    def margin(self) -> int:
        """Around everything."""
        return self.text

    @property
    def gap(self) -> int:
        """Between tiles."""
        return max(3, self.text // 5)

    @property
    def apart(self) -> int:
        """Between groups, in addition."""
        return 2 * self.text // 3

    @property
    def top(self) -> int:
        """The top of the first row."""
        return self.margin + 5 * self.text

    def left(self, column: int) -> int:
        """The left edge of a column of tiles."""
        names = max(_wide(name, self.text) for name in self.names)
        return self.margin + 2 * self.text + names + 3 * self.gap + column * (self.width + self.gap)


def contact_sheet(
    clean: Pixels,
    versions: Mapping[str, Sequence[Pixels]],
    columns: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    title: str,
    note: str,
) -> bytes:
    """The PNG of an image [H, W, 3] and its versions by name, each a row of as many images as `columns` has names.

    Names are shown by `groups`, those in none last; the same images give the same bytes.
    """
    factor = -(-SMALLEST // min(clean.shape[:2]))
    grid = Grid(clean.shape[1] * factor, clean.shape[0] * factor, tuple(versions))
    shown = _grouped(list(versions), groups)
    right = max(grid.left(len(columns) + 1), grid.margin + _wide(note, grid.small))
    bottom = grid.top + len(versions) * (grid.height + grid.gap) + (len(shown) - 1) * grid.apart
    page = Image.new("RGB", (right + grid.margin, bottom + grid.margin), PAPER)
    _head(page, title, note, ("clean", *columns), grid)
    top = grid.top
    for (group, names), colour in zip(shown, cycle(COLOURS), strict=False):
        bottom = top + len(names) * (grid.height + grid.gap) - grid.gap
        _band(page, group, colour, (top, bottom), grid)
        for row, name in enumerate(names):
            tiles = [np.repeat(np.repeat(image, factor, 0), factor, 1) for image in (clean, *versions[name])]
            _row(page, name, tiles, top + row * (grid.height + grid.gap), grid)
        top = bottom + grid.gap + grid.apart
    sink = io.BytesIO()
    page.save(sink, "PNG", optimize=True)
    return sink.getvalue()


def _head(page: Image.Image, title: str, note: str, columns: Sequence[str], grid: Grid) -> None:
    """The title, the note below it, and the names of the columns above the first row."""
    draw = ImageDraw.Draw(page)
    draw.text((grid.margin, grid.margin), title, INK, _font(grid.text * 5 // 4, bold=True))
    draw.text((grid.margin, grid.margin + 2 * grid.text), note, FAINT, _font(grid.small))
    for column, name in enumerate(columns):
        middle = grid.left(column) + grid.width // 2
        draw.text((middle, grid.top - 2 * grid.gap), name, INK, _font(grid.text), anchor="ms")


def _grouped(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[tuple[str, list[str]]]:
    """The groups that have any of the names, in order, and the rest."""
    known = {name for members in groups.values() for name in members}
    found = [(group, [name for name in members if name in names]) for group, members in groups.items()]
    found.append(("Other", [name for name in names if name not in known]))
    return [(group, members) for group, members in found if members]


def _row(page: Image.Image, name: str, tiles: Sequence[Pixels], top: int, grid: Grid) -> None:
    """The name of a row and its tiles."""
    place = (grid.left(0) - 2 * grid.gap, top + grid.height // 2)
    ImageDraw.Draw(page).text(place, name, INK, _font(grid.text), anchor="rm")
    for column, tile in enumerate(tiles):
        page.paste(Image.fromarray(tile), (grid.left(column), top))


def _band(page: Image.Image, group: str, colour: str, rows: tuple[int, int], grid: Grid) -> None:
    """A stripe along the rows of a group, from the top of the first to the bottom of the last, with its name."""
    top, bottom = rows
    stripe = Image.new("RGB", (bottom - top, 3 * grid.text // 2), colour)
    middle = (stripe.width // 2, stripe.height // 2)
    size = min(grid.text, grid.text * stripe.width * 9 // (10 * _wide(group, grid.text)))  # of one small row
    ImageDraw.Draw(stripe).text(middle, group, PAPER, _font(size, bold=True), anchor="mm")
    page.paste(stripe.rotate(90, expand=True), (grid.margin, top))


@lru_cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: the same letters on every machine."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def _wide(text: str, size: int) -> int:
    return int(_font(size).getlength(text)) + 1
