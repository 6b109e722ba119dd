"""The 14 perturbation sequences of ImageNet-P on the fly, from the constants of `sequence_tables`."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from rbench.corruptions import geometric
from rbench.corruptions.colour import Colours
from rbench.corruptions.filters import clipped_zoom, gaussian, motion, rounded, truncated
from rbench.corruptions.generators import SMALLEST, quantised
from rbench.corruptions.noise import gaussian_noise, shot_noise, speckle_noise
from rbench.corruptions.randomness import Randomness, Stream
from rbench.corruptions.sequence_tables import AGAINST_FIRST, GEOMETRIC, Sweep, sweep
from rbench.corruptions.snow import flakes, whitened
from rbench.corruptions.spatter import water
from rbench.errors import UsageError
from rbench.rng import Draws


def sequence(x: Tensor, perturbation: str, rng: Randomness, *, difficulty: int = 1, table: int | None = None) -> Tensor:
    """The frames, uint8 [B, T, 3, h, w], that a perturbation makes of images, uint8 [B, 3, H, W].

    The constants are those of the size `table`, by default the shorter side of the images. What is larger than that
    size is cut off evenly on both sides: before the perturbation or, if it is geometric, afterwards, so that images of
    256 pixels move as in ImageNet-P. `difficulty` is the strength of a noise, 1 to 3; elsewhere the same frames are
    compared further apart. Noises ask `rng` for [3, h, w] numbers a frame from the second on, snow and spatter for
    [h, w] normal numbers once. Raises `UsageError` for an unknown perturbation, difficulty or size.
    """
    height, width = x.shape[-2:]
    plan = sweep(perturbation, min(height, width) if table is None else table)
    check_difficulty(perturbation, difficulty)
    if min(height, width) < SMALLEST:
        raise UsageError(f"images of {height} x {width} pixels are too small: sequences need {SMALLEST} or more.")
    size = table or min(height, width)
    window = min(height, size), min(width, size)
    if perturbation in GEOMETRIC:
        return _MOVES[perturbation](x, window, plan.values)
    cut = geometric.centred(x, window)
    if perturbation in AGAINST_FIRST:
        return torch.stack(list(_noisy(cut, rng, plan, _NOISES[perturbation], difficulty)), 1)
    return torch.stack([quantised(frame) for frame in _TEMPORAL[perturbation](cut.float() / 255, rng, plan)], 1)


def stream(seed: int, perturbation: str, difficulty: int, samples: Tensor) -> Stream:
    """The random numbers of a perturbation for some samples, int64 [B]."""
    return Stream(Draws(seed, f"perturb/{perturbation}/{difficulty}", samples))


def check_difficulty(perturbation: str, difficulty: int) -> None:
    """Raise `UsageError` unless there are frames of this difficulty: 1, and for noises 2 and 3 too."""
    if difficulty not in (1, 2, 3):
        raise UsageError(f"difficulty = {difficulty} must be 1, 2 or 3.")
    if difficulty > 1 and perturbation not in AGAINST_FIRST:
        raise UsageError(
            f"{perturbation} has the same frames at every difficulty: make those of difficulty 1, "
            f"and compare frames {difficulty} apart."
        )


def _noisy(x: Tensor, rng: Randomness, plan: Sweep, noise: Callable[..., Tensor], difficulty: int) -> Iterator[Tensor]:
    """The clean images, then their noisy versions."""
    yield x
    for _ in range(plan.frames - 1):
        yield quantised(noise(x.float() / 255, rng, plan.levels[difficulty - 1]))


def _motion_blur(x: Tensor, rng: Randomness, plan: Sweep) -> Iterator[Tensor]:  # noqa: ARG001 - nothing is random
    """Blurred along a line that turns; rounded to bytes, as ImageMagick does."""
    radius, sigma = plan.constants
    for angle in plan.values:
        yield rounded(motion(x, int(radius), sigma, x.new_full((len(x),), angle)))


def _snow(x: Tensor, rng: Randomness, plan: Sweep) -> Iterator[Tensor]:
    """The flakes of one layer, blurred along a wind that turns."""
    loc, scale, zoom, threshold, radius, sigma, blend = plan.constants
    still = truncated(flakes(x, rng, loc, scale, threshold, lambda noise: clipped_zoom(noise, zoom)))
    ground = whitened(x, blend)
    for angle in plan.values:
        layer = rounded(motion(still, int(radius), sigma, x.new_full((len(x),), angle)))
        yield ground + layer + layer.flip(2, 3)


def _brightness(x: Tensor, rng: Randomness, plan: Sweep) -> Iterator[Tensor]:  # noqa: ARG001
    """From darker to brighter, by what is added to the value in the HSV space."""
    colours = Colours.of(x)
    return (colours.shown((colours.value + add).clamp_(0, 1), colours.saturation) for add in plan.values)


def _gaussian_blur(x: Tensor, rng: Randomness, plan: Sweep) -> Iterator[Tensor]:  # noqa: ARG001 - nothing is random
    """From sharp to blurred."""
    (truncate,) = plan.constants
    return (gaussian(x, sigma, truncate=truncate) for sigma in plan.values)


def _spatter(x: Tensor, rng: Randomness, plan: Sweep) -> Iterator[Tensor]:
    """Water that runs down."""
    loc, scale, sigma, threshold, strength, *weights = plan.constants
    layer = gaussian(rng.normal(x.shape[-2:]).double() * scale + loc, sigma)
    layer = torch.where(layer < threshold, 0.0, layer)
    for _ in range(plan.frames):
        yield water(x, layer, threshold, strength)
        layer = dripped(layer, weights)


def dripped(layer: Tensor, weights: Sequence[float]) -> Tensor:
    """A layer [..., h, w] run down: its columns convolved with the weights, like `numpy.convolve(mode="same")`.

    With K weights, row n becomes the sum over j of weights[j] * row n + (K - 1) // 2 - j, where rows outside are 0.
    """
    height, last = layer.shape[-2], len(weights) - 1
    below = last // 2
    padded = pad(layer, (0, 0, last - below, below))
    parts = [weight * padded[..., last - j : last - j + height, :] for j, weight in enumerate(weights)]
    return torch.stack(parts).sum(0)


_MOVES = {name: getattr(geometric, name) for name in GEOMETRIC}
_NOISES: Mapping[str, Callable[..., Tensor]] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "speckle_noise": speckle_noise,
}
_TEMPORAL: Mapping[str, Callable[[Tensor, Randomness, Sweep], Iterator[Tensor]]] = {
    "motion_blur": _motion_blur,
    "snow": _snow,
    "brightness": _brightness,
    "gaussian_blur": _gaussian_blur,
    "spatter": _spatter,
}
