"""AugMix: mixtures of chains of operations on an image (Hendrycks et al., ICLR 2020, algorithm 1)."""

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv
from torch import Tensor

from rbench.recipe import AugMix
from rbench.rng import Draws
from rbench.training.operations import OPERATIONS, Picture
from rbench.training.pictures import Pixels, batch, pictures, pixels
from rbench.types import FloatArray

DEPTH = 3  # the longest chain where the depth is random
LOWEST = 0.1  # level, as in the authors' program


class Step(NamedTuple):
    """One operation of a chain: which of `OPERATIONS`, at which level, with which sign."""

    operation: int
    level: float
    sign: int


class Mixture(NamedTuple):
    """How one image is augmented: the chains, their weights (which sum to 1) and the weight of all of them together."""

    chains: tuple[tuple[Step, ...], ...]
    weights: tuple[float, ...]
    share: float


def augmix(x: Tensor, settings: AugMix, rng: Draws, draw: int) -> Tensor:
    """Augmented images [B, C, H, W] in [0, 1] of images in [0, 1], which are taken as 8-bit ones.

    (1 - share) image + share sum_i weight_i chain_i(image). What becomes of an image is a function of its stream in
    `rng` and of `draw`, which numbers the views of a batch, and does not depend on the rest of the batch.
    """
    planned = plan(settings, rng, draw)
    mixed = [mix(picture, mixture) for picture, mixture in zip(pictures(x), planned, strict=True)]
    return batch(mixed, like=x)


def plan(settings: AugMix, rng: Draws, draw: int) -> list[Mixture]:
    """The mixture that each sample of `rng` gets.

    Of a sample's uniform numbers the first is for the share and the next `width` - 1 are for the weights; then every
    chain has one for its depth and three for each operation: which, level, sign.
    """
    longest = settings.depth or DEPTH
    uniform = (rng.words(settings.width * (2 + 3 * longest), draw).cpu().numpy() + 0.5) * 2.0**-32
    return [_mixture(row, settings, longest) for row in uniform]


def _mixture(uniform: FloatArray, settings: AugMix, longest: int) -> Mixture:
    share = float(betaincinv(settings.alpha, settings.alpha, uniform[0]))
    weights = dirichlet(uniform[1 : settings.width], settings.alpha)
    rest = uniform[settings.width :].reshape(settings.width, -1)
    return Mixture(tuple(_chain(numbers, settings, longest) for numbers in rest), weights, share)


def _chain(uniform: FloatArray, settings: AugMix, longest: int) -> tuple[Step, ...]:
    depth = settings.depth or 1 + int(uniform[0] * longest)
    return tuple(
        Step(int(which * len(OPERATIONS)), LOWEST + (settings.severity - LOWEST) * level, 1 if sign < 0.5 else -1)
        for which, level, sign in uniform[1:].reshape(longest, 3)[:depth].tolist()
    )


def dirichlet(uniform: FloatArray, alpha: float) -> tuple[float, ...]:
    """Weights that sum to 1, one more than uniform numbers in (0, 1), distributed as Dirichlet(alpha, ..., alpha).

    A stick is broken: of what is left for k weights, the first takes Beta(alpha, (k - 1) alpha).
    """
    weights, left = [], 1.0
    for index, number in enumerate(uniform):
        weights.append(left * float(betaincinv(alpha, alpha * (len(uniform) - index), number)))
        left -= weights[-1]
    return (*weights, left)


def mix(picture: Picture, mixture: Mixture) -> Pixels:
    """The augmented picture as float32 [H, W, C] in [0, 1]."""
    image = pixels(picture)
    mixed = np.zeros_like(image)
    for weight, chain in zip(mixture.weights, mixture.chains, strict=True):
        altered = picture
        for step in chain:
            altered = OPERATIONS[step.operation](altered, step.level, step.sign)
        mixed += np.float32(weight) * pixels(altered)
    share = np.float32(mixture.share)
    return np.clip((1 - share) * image + share * mixed, 0, 1)
