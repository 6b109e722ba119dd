"""The operations of AugMix: nine of AutoAugment's, none of which is a corruption of ImageNet-C.

Each takes a picture, a level in (0, 10] and a sign (1 or -1, which only the geometric ones heed), and is otherwise
deterministic; what moves into the picture is black. Magnitudes are those of Hendrycks et al., ICLR 2020, as in the
authors' program: level/10 of 30 degrees, of a shear by 0.3, of a shift by a third of the picture, of 4 bits, of 256
grey levels; degrees, pixels, bits and grey levels are cut to whole numbers.
"""

from collections.abc import Callable
from typing import TypeAlias

from PIL import Image, ImageOps

Picture: TypeAlias = Image.Image
Operation: TypeAlias = Callable[[Picture, float, int], Picture]


def autocontrast(picture: Picture, _level: float, _sign: int) -> Picture:
    """Every channel stretched to 0..255."""
    return ImageOps.autocontrast(picture)


def equalize(picture: Picture, _level: float, _sign: int) -> Picture:
    """Every channel's histogram made flat."""
    return ImageOps.equalize(picture)


def posterize(picture: Picture, level: float, _sign: int) -> Picture:
    """The highest 4 bits or fewer of every value."""
    return ImageOps.posterize(picture, max(1, 4 - _whole(level, 4)))


def solarize(picture: Picture, level: float, _sign: int) -> Picture:
    """Values from a threshold on inverted."""
    return ImageOps.solarize(picture, 256 - _whole(level, 256))


def rotate(picture: Picture, level: float, sign: int) -> Picture:
    """Turned about the centre, counter-clockwise for sign 1."""
    return picture.rotate(sign * _whole(level, 30), resample=Image.Resampling.BILINEAR)


def shear_x(picture: Picture, level: float, sign: int) -> Picture:
    """Rows shifted in proportion to their height."""
    return _affine(picture, (1, sign * level * 0.3 / 10, 0, 0, 1, 0))


def shear_y(picture: Picture, level: float, sign: int) -> Picture:
    """Columns shifted in proportion to their distance from the left."""
    return _affine(picture, (1, 0, 0, sign * level * 0.3 / 10, 1, 0))


def translate_x(picture: Picture, level: float, sign: int) -> Picture:
    """Shifted to the left for sign 1."""
    return _affine(picture, (1, 0, sign * _whole(level, picture.width / 3), 0, 1, 0))


def translate_y(picture: Picture, level: float, sign: int) -> Picture:
    """Shifted upwards for sign 1."""
    return _affine(picture, (1, 0, 0, 0, 1, sign * _whole(level, picture.height / 3)))


def _whole(level: float, largest: float) -> int:
    return int(level * largest / 10)


def _affine(picture: Picture, matrix: tuple[float, float, float, float, float, float]) -> Picture:
    """The picture whose pixel (x, y) is the original's at (a x + b y + c, d x + e y + f)."""
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)


OPERATIONS: tuple[Operation, ...] = (
    autocontrast,
    equalize,
    posterize,
    rotate,
    solarize,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)
