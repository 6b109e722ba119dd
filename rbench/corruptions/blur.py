"""The blurs without glass: Gaussian, defocus, motion and zoom."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from rbench.corruptions.exact import gaussian_bytes, nudges
from rbench.corruptions.filters import NEAR, channels_first, channels_last, clipped_zoom, motion, rounded, truncated
from rbench.corruptions.randomness import Randomness

ANGLES = -45.0, 45.0  # degrees
VECTOR = 16  # float32 numbers in the longest vectors of CPUs


def gaussian_blur(x: Tensor, rng: Randomness, sigma: float) -> Tensor:  # noqa: ARG001
    """A Gaussian of sigma pixels, cut off at four sigmas, with the last pixels repeated beyond the edge; no draws."""
    return gaussian_bytes(x, sigma)


def defocus_blur(x: Tensor, rng: Randomness, radius: float, alias_blur: float) -> Tensor:  # noqa: ARG001
    """The image under a disc of `radius` pixels, itself blurred by `alias_blur` pixels against jagged edges; no draws.

    Edges mirror without repeating the last pixel (d c b | a b c d | c b a).
    """
    kernel, nudge = _disc(radius, alias_blur, x.device)
    batch, channels, height, width = x.shape
    reach = kernel.shape[-1] // 2
    # All channels as groups of one image: the layout for which depthwise convolutions are quickest.
    padded = pad(x, (reach,) * 4, mode="reflect").view(1, batch * channels, height + 2 * reach, width + 2 * reach)
    kernels = kernel.expand(batch * channels, 1, -1, -1).contiguous()
    found = torch.conv2d(padded, kernels, groups=batch * channels).view(x.shape)
    return truncated(found, nudge)


@lru_cache(maxsize=64)
def _disc(radius: float, alias_blur: float, device: torch.device) -> tuple[Tensor, float]:
    """The kernel [size, size] and the side to which levels that are whole but for rounding fall before truncation.

    The authors' disc lies on a grid of 17 x 17 up to radius 8, where the blur's mirrored border counts some light twice
    (the sum is 1.0130 at radius 8), in float32, whose rounding leaves a sum just above or below one: for some discs
    areas of one colour lose a level.
    """
    reach, border = (8, 1) if radius <= 8 else (int(radius), 2)
    steps = np.arange(-reach, reach + 1)
    disc = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float32)
    disc /= disc.sum()
    weights = np.exp(-(np.arange(-border, border + 1) ** 2) / (2 * alias_blur**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 0):
        wide = np.pad(disc, [(border, border) if side == axis else (0, 0) for side in (0, 1)], mode="reflect")
        disc = sum(weight * wide.take(range(i, i + len(steps)), axis) for i, weight in enumerate(weights))
    side = NEAR if disc.sum(dtype=np.float64) >= 1 else -NEAR
    # What lies beyond the disc only costs time: the blur leaves next to nothing there.
    seen = int(np.abs(steps[disc.max(0) > 1e-9]).max())
    return torch.from_numpy(disc[reach - seen : reach + seen + 1, reach - seen : reach + seen + 1]).to(device), side


def motion_blur(x: Tensor, rng: Randomness, radius: int, sigma: float) -> Tensor:
    """A motion blur along an angle in [-45, 45) degrees, rounded to bytes as ImageMagick writes it; draws uniform()."""
    return rounded(motion(x, radius, sigma, rng.uniform((), *ANGLES)))


def motion_blur_variant(x: Tensor, rng: Randomness, radius: int, sigma: float) -> Tensor:
    """A motion blur as imagecorruptions has it: without the pixels from outside, and truncated; draws uniform()."""
    # In float64: the far weights are too small for float32 to tell on which side of a level areas of one colour fall.
    levels = (x * 255).round().double()
    blurred = motion(levels / 255, radius, sigma, rng.uniform((), *ANGLES), truncate=True)
    return truncated(blurred, _motion_nudges(radius, sigma, x.device))


@lru_cache(maxsize=64)
def _motion_nudges(radius: int, sigma: float, device: torch.device) -> Tensor:
    """The nudges for truncation after the sum of imagecorruptions in float64, [256]."""
    steps = np.arange(2 * radius + 1)
    # Written as there, constant factor and all: the last bits decide.
    weights = np.exp(-(steps**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return nudges(np.cumsum(np.arange(256)[:, None] * (weights / weights.sum()), 1)[:, -1], 2e-12, device)


def zoom_blur(x: Tensor, rng: Randomness, start: float, stop: float, step: float) -> Tensor:  # noqa: ARG001
    """The mean of the image and of its zooms by start, start + step, ..., up to `stop`; no draws.

    The first factor is 1, so the image itself counts twice. Where the steps meet `stop`, rounding decides whether it is
    among them, as in the authors' code: 1.11 and 1.06 are.
    """
    factors = np.arange(start, stop, step)
    # Whole vectors of planes: one left over would be rounded in another way, by who shares the batch.
    planes = channels_last(x, VECTOR)
    found = torch.zeros_like(planes)
    for factor in factors.tolist():
        found += clipped_zoom(planes, factor)
    return truncated((x + channels_first(found, x)) / (len(factors) + 1), _mean_nudges(len(factors), x.device))


@lru_cache(maxsize=64)
def _mean_nudges(count: int, device: torch.device) -> Tensor:
    """The nudges for truncation after the mean of count + 1 images in float32, [256]."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    total = np.zeros_like(levels)
    for _ in range(count):
        total += levels
    return nudges((levels + total) / np.float32(count + 1) * np.float32(255), NEAR, device)
