"""Frost: a part of a picture of frost, laid over the image."""

from torch import Tensor

from rbench.corruptions.frost_images import SIZES, Pictures, pictures
from rbench.corruptions.randomness import Randomness


def frost(x: Tensor, rng: Randomness, image_weight: float, frost_weight: float, frost_scale: float) -> Tensor:
    """Frost on images x [B, 3, H, W] in [0, 1]: image_weight * image + frost_weight * frost, at a random place.

    The pictures are scaled by frost_scale, or by what makes them cover a larger image. Requests of `rng`: those of
    `_laid_over`. Raises `MissingError` for photographs that are missing or damaged. Hendrycks and
    Dietterich, ICLR 2019, `frost`.
    """
    height, width = x.shape[-2:]
    factors = tuple(max(frost_scale, height / h, width / w) for h, w in SIZES)
    return _laid_over(x, rng, pictures("linear", factors, x.device), image_weight, frost_weight)


def frost_variant(
    x: Tensor,
    rng: Randomness,
    image_weight: float,
    frost_weight: float,
    frost_scale: float,  # noqa: ARG001
) -> Tensor:
    """Frost as in the package imagecorruptions: pictures are 1.1 times as large, or as what would cover the image."""
    height, width = x.shape[-2:]
    factors = tuple(1.1 * max(1, height / h, width / w) for h, w in SIZES)
    return _laid_over(x, rng, pictures("cubic", factors, x.device), image_weight, frost_weight)


def _laid_over(x: Tensor, rng: Randomness, frosts: Pictures, image_weight: float, frost_weight: float) -> Tensor:
    """The weighted sum of images and crops of pictures, truncated to bytes.

    Requests of `rng`: the integer in [0, 5) that chooses the picture, then two uniform numbers, the row and the column
    of the crop's corner as parts of the height - H rows and width - W columns: the k-th of n is [k / n, (k + 1) / n).
    """
    height, width = x.shape[-2:]
    which = rng.integers((), 0, len(frosts.pixels))
    row, column = ((rng.uniform(()).double() * (frosts.sizes[which, k] - x.shape[2 + k])).long() for k in (0, 1))
    # Every crop of every picture as a view: indexing it copies one crop per image.
    crops = frosts.pixels.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    # In doubles, since sums of hundredths are often whole up to rounding, and are truncated.
    ice = crops[which, row, column].double().mul_(frost_weight)
    image = (x * 255).round_().double().mul_(image_weight)
    return image.add_(ice).clamp_(0, 255).floor_().div_(255).to(x.dtype)
