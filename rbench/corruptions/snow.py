"""Snow: flakes of enlarged noise, blurred along the wind, over a whitened image."""

from collections.abc import Callable

from torch import Tensor

from rbench.corruptions.filters import clipped_zoom, enlarged, motion, rounded, truncated
from rbench.corruptions.randomness import Randomness

GRAY = (0.299, 0.587, 0.114)


def snow(
    x: Tensor,
    rng: Randomness,
    loc: float,
    scale: float,
    zoom: float,
    threshold: float,
    blur_radius: int,
    blur_sigma: float,
    blend: float,
) -> Tensor:
    """Snow on images x [B, 3, H, W] in [0, 1].

    Flakes: normal noise (loc, scale), its middle enlarged `zoom` times, what lies below the threshold set to 0, cut to
    bytes, blurred along a direction, rounded to bytes. They and they turned by 180 degrees are added to the whitened
    image, blend x + (1 - blend) max(x, 1.5 gray(x) + 0.5). Requests of `rng`: normal(H, W), then the uniform angle in
    [-135, -45) degrees. Hendrycks and Dietterich, ICLR 2019, `snow`.
    """
    layer = flakes(x, rng, loc, scale, threshold, lambda noise: clipped_zoom(noise, zoom))
    angle = rng.uniform((), -135, -45)
    layer = rounded(motion(truncated(layer), int(blur_radius), blur_sigma, angle))
    return whitened(x, blend).add_(layer).add_(layer.flip(2, 3))


def snow_variant(
    x: Tensor,
    rng: Randomness,
    loc: float,
    scale: float,
    zoom: float,
    threshold: float,
    blur_radius: int,
    blur_sigma: float,
    blend: float,
) -> Tensor:
    """Snow as in the package imagecorruptions: as `snow`, but for two steps in the making of the flakes.

    They are cut to bytes after the blur only; and the enlarged layer, some pixels larger than the image, is blurred
    before it is trimmed, to its upper left part. (Its blur drops steps as long as the layer, but reaches 24 pixels.)
    """
    layer = flakes(x, rng, loc, scale, threshold, lambda noise: enlarged(noise, zoom))
    angle = rng.uniform((), -135, -45)
    layer = rounded(motion(layer, int(blur_radius), blur_sigma, angle))
    layer = layer[..., : x.shape[-2], : x.shape[-1]]
    return whitened(x, blend).add_(layer).add_(layer.flip(2, 3))


def flakes(
    x: Tensor, rng: Randomness, loc: float, scale: float, threshold: float, enlarge: Callable[[Tensor], Tensor]
) -> Tensor:
    """Enlarged noise above the threshold, [B, 1, H', W'] in [0, 1]."""
    # In doubles: a value that the interpolation's rounding lifts over the threshold would add a flake of its own.
    noise = enlarge((rng.normal(x.shape[-2:]).double() * scale + loc)[:, None])
    return noise.masked_fill_(noise < threshold, 0).clamp_(0, 1).to(x)


def whitened(x: Tensor, blend: float) -> Tensor:
    """Images blended with a brighter, greyer copy."""
    red, green, blue = x.split(1, dim=1)
    gray = GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue
    return (x.maximum(gray * 1.5 + 0.5)).mul_(1 - blend).add_(x, alpha=blend)
