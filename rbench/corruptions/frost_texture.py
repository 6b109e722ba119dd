"""Frost for those who lack the photographs: crystals over noise, of the photographs' sizes, brightness and colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rbench.corruptions.randomness import Stream
from rbench.rng import Draws

Array = NDArray[np.floating[Any]]
VERSION = 1  # of the recipe: whatever changes the textures raises it
TURNS = 24
PERCENT = (1, 5, 25, 50, 75, 95, 99)
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Crystals:
    """Triangles of some lengths, in pixels, about a spine, with a pattern of stripes."""

    count: int
    lengths: tuple[int, ...]
    width: float  # at the root, as a part of the length
    stripes: tuple[float, float]  # cycles a pixel along the spine and away from it


@dataclass(frozen=True)
class Texture:
    """What a texture looks like: quantiles of its luma at PERCENT, mean colour, direction of change, structure."""

    size: tuple[int, int]
    quantiles: tuple[int, ...]
    mean: tuple[int, int, int]
    clouds: tuple[float, float]  # weight, and s in the amplitude f^-s
    wrinkles: float
    crystals: Crystals
    direction: tuple[float, float, float] = (1, 1, 1)


# Sizes, quantiles and colours were measured on the photographs of Hendrycks and Dietterich.
FOIL = Texture(
    (600, 900), (95, 102, 116, 128, 141, 163, 177), (78, 149, 166), (1.2, 1.3), 0.6,
    Crystals(6000, (7, 14, 32), 0.12, (0.05, 0.2)), (0.8, 0.48, 0.37),
)  # fmt: skip
NEEDLES = Texture(
    (315, 560), (140, 165, 193, 208, 220, 235, 244), (201, 205, 215), (0.6, 0.8), 0.3,
    Crystals(1500, (14, 26, 44), 0.13, (0.03, 0.27)),
)  # fmt: skip
FLAKES = Texture(
    (350, 527), (81, 102, 132, 150, 167, 196, 231), (138, 153, 165), (0.45, 0.75), 0.5,
    Crystals(3000, (5, 8, 16), 0.35, (0.25, 0.15)),
)  # fmt: skip
FEATHERS = Texture(
    (495, 660), (43, 58, 89, 117, 149, 202, 237), (112, 123, 135), (0.6, 1.0), 0.25,
    Crystals(1800, (14, 24, 40), 0.28, (0.22, 0.15)),
)  # fmt: skip
TEXTURES = (FOIL, NEEDLES, NEEDLES, FLAKES, FEATHERS)  # the second and the third photograph are the same, too


def textures() -> tuple[Tensor, ...]:
    """The five textures, uint8 [3, height, width], the same in every process."""
    made = {texture: painted(texture) for texture in dict.fromkeys(TEXTURES)}
    return tuple(made[texture] for texture in TEXTURES)


def painted(texture: Texture) -> Tensor:
    """A texture, uint8 [3, height, width]: its structure's ranks give the luma, and the luma the colour."""
    from scipy.interpolate import PchipInterpolator

    structure = _structure(texture)
    low, high = texture.quantiles[0] - 10, texture.quantiles[-1] + 10
    found = np.quantile(structure.ravel()[::5], np.array([0, *PERCENT, 100]) / 100)
    found[[0, -1]] = structure.min(), structure.max()
    luma = PchipInterpolator(found, [low, *texture.quantiles, high])(structure)
    direction = np.array(texture.direction) / (LUMA @ texture.direction)
    colour = np.array(texture.mean)[:, None, None] + direction[:, None, None] * (luma - LUMA @ texture.mean)
    return torch.from_numpy(np.rint(colour).clip(0, 255).astype(np.uint8))


def _structure(texture: Texture) -> Array:
    """Clouds, wrinkles and crystals, [height, width], in units of their own."""
    weight, steepness = texture.clouds
    clouds = _noise(texture, "clouds", steepness)
    fine = _noise(texture, "wrinkles", 0.9, coarsest=100, squeeze=0.5)
    ridges = np.exp(-((fine / 0.4) ** 2)) - 0.5 * np.exp(-(((fine - 0.6) / 0.4) ** 2))
    crystals = _crystals(texture, texture.crystals)
    crystals /= crystals.std()
    return weight * clouds + texture.wrinkles * ridges * (1 + 0.5 * clouds) + crystals * (1 + 0.25 * clouds)


def _uniform(texture: Texture, layer: str, shape: tuple[int, int]) -> Array:
    """Uniform numbers in [-1, 1), a stream of their own for each layer of a texture."""
    draws = Draws(0, f"frost/{TEXTURES.index(texture)}/{layer}", torch.zeros(1, dtype=torch.int64))
    return Stream(draws).uniform(shape, -1, 1)[0].numpy()


def _noise(texture: Texture, layer: str, steepness: float, coarsest: float = np.inf, squeeze: float = 1) -> Array:
    """Noise of unit variance with amplitudes f^-steepness, without what is coarser than `coarsest` pixels."""
    from scipy import fft

    height, width = texture.size
    size = fft.next_fast_len(height, real=True), fft.next_fast_len(width, real=True)
    f = np.hypot(fft.fftfreq(size[0])[:, None], squeeze * fft.rfftfreq(size[1])).astype(np.float32)
    f[0, 0] = 1
    gain = f**-steepness * np.exp(-((np.pi / (coarsest * f)) ** 2))
    gain[0, 0] = 0
    noise = fft.irfft2(fft.rfft2(_uniform(texture, layer, size)) * gain, s=size)[:height, :width]
    return noise / noise.std()


def _crystals(texture: Texture, kind: Crystals) -> Array:
    """Crystals at random places and angles, each nearly covering those before, [height, width]."""
    height, width = texture.size
    border = max(kind.lengths) + 1
    canvas = np.zeros((height + 2 * border, width + 2 * border), np.float32)
    stamps = [[_stamp(kind, length, turn) for turn in range(TURNS)] for length in kind.lengths]
    for chance in (_uniform(texture, "crystals", (kind.count, 5)) + 1) / 2:
        row, column, turn, length = (chance[:4] * (height, width, TURNS, len(stamps))).astype(int)
        value, cover = stamps[length][turn]
        reach = kind.lengths[length]
        place = canvas[border + row - reach :, border + column - reach :][: 2 * reach + 1, : 2 * reach + 1]
        place += cover * (value * (0.4 + 0.6 * chance[4]) - place)
    return canvas[border:-border, border:-border]


def _stamp(kind: Crystals, length: int, turn: int) -> tuple[Array, Array]:
    """The brightness of a crystal and how far it covers what lies below, both [2 length + 1, 2 length + 1]."""
    angle = 2 * np.pi * turn / TURNS
    y, x = np.mgrid[-length : length + 1, -length : length + 1].astype(np.float32)
    along, away = x * np.cos(angle) + y * np.sin(angle), np.abs(y * np.cos(angle) - x * np.sin(angle))
    half = kind.width * length * (1 - along / length).clip(0, 1) * (6 * along / length).clip(0, 1)
    stripes = 0.5 + 0.5 * np.cos(2 * np.pi * (along * kind.stripes[0] - away * kind.stripes[1]))
    spine = np.exp(-((away / 0.9) ** 2))
    value = 0.15 + 0.6 * stripes * (1 - 0.5 * away / half.clip(1)) + 0.6 * spine
    return value, 0.85 * (half - away + 0.5).clip(0, 1) * (along > 0)
