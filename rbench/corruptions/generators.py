"""The two named generators: which function with which parameters makes a corruption; never a blend of both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from rbench.catalog import resolve
from rbench.corruptions.randomness import Randomness
from rbench.corruptions.tables import CORRUPTIONS, IMAGECORRUPTIONS, SEVERITIES, TABLES, Parameters
from rbench.errors import UsageError, unknown

GeneratorName = Literal["hendrycks", "imagecorruptions"]
NAMES: tuple[GeneratorName, ...] = get_args(GeneratorName)
_SIZES = ", ".join(map(str, sorted(TABLES)))
_HERE = "rbench.corruptions"
# Where each corruption is defined; a module is imported when one of its corruptions is asked for.
FUNCTIONS: Mapping[str, str] = {
    **{f"{name}_noise": f"{_HERE}.noise:{name}_noise" for name in ("gaussian", "shot", "impulse", "speckle")},
    **{f"{name}_blur": f"{_HERE}.blur:{name}_blur" for name in ("gaussian", "defocus", "motion", "zoom")},
    "glass_blur": f"{_HERE}.glass:glass_blur",
    "snow": f"{_HERE}.snow:snow",
    "frost": f"{_HERE}.frost:frost",
    "fog": f"{_HERE}.fog:fog",
    "brightness": f"{_HERE}.colour:brightness",
    "saturate": f"{_HERE}.colour:saturate",
    "contrast": f"{_HERE}.colour:contrast",
    "elastic_transform": f"{_HERE}.elastic:elastic_transform",
    "pixelate": f"{_HERE}.digital:pixelate",
    "jpeg_compression": f"{_HERE}.digital:jpeg_compression",
    "spatter": f"{_HERE}.spatter:spatter",
}
# What the package imagecorruptions 1.1.2 does in another way; the rest is as above, and the table its own for any size.
VARIANTS: Mapping[str, str] = {
    "motion_blur": f"{_HERE}.blur:motion_blur_variant",
    "snow": f"{_HERE}.snow:snow_variant",
    "frost": f"{_HERE}.frost:frost_variant",
    "fog": f"{_HERE}.fog:fog_variant",
    "elastic_transform": f"{_HERE}.elastic:elastic_transform_variant",
    "pixelate": f"{_HERE}.digital:pixelate_variant",
}
# Defined on bytes: they are given uint8 and answer with it, which saves most of their time.
BYTEWISE = ("pixelate", "jpeg_compression")
SMALLEST = 32  # pixels of the shorter side


@dataclass(frozen=True)
class Generator:
    """A named set of corruptions; `table` is the size whose constants are used, by default that of the images.

    Raises `UsageError` for an unknown name, a size without constants, and a table of imagecorruptions.
    """

    name: GeneratorName = "hendrycks"
    table: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be obeyed."""
        if self.name not in NAMES:
            raise unknown("generator", self.name, NAMES)
        if self.table is None:
            return
        if self.name == "imagecorruptions":
            raise UsageError(f"table = {self.table}: imagecorruptions has one table of its own; leave the table out.")
        if self.table not in TABLES:
            raise UsageError(f"table = {self.table}: there are constants for {_SIZES} pixels only; name one of these.")

    def __call__(self, x: Tensor, corruption: str, severity: int, rng: Randomness) -> Tensor:
        """The corrupted images, uint8 [B, 3, H, W], of images uint8 [B, 3, H, W].

        Raises `UsageError` for an unknown corruption, a severity outside 1..5, or a size without constants.
        """
        function, parameters = self.recipe(corruption, severity, x.shape[-2], x.shape[-1])
        x = x.contiguous()
        return quantised(function(x if corruption in BYTEWISE else x.float().div_(255), rng, *parameters))

    def recipe(
        self, corruption: str, severity: int, height: int, width: int
    ) -> tuple[Callable[..., Tensor], Parameters]:
        """The function of a corruption and the parameters that follow (x, rng), for images of height x width pixels."""
        if corruption not in CORRUPTIONS:
            raise unknown("corruption", corruption, CORRUPTIONS)
        if severity not in SEVERITIES:
            raise UsageError(f"severity = {severity} must be one of 1, 2, 3, 4, 5.")
        shorter = min(height, width)
        if shorter < SMALLEST:
            raise UsageError(f"images of {height} x {width} pixels are too small: corruptions need {SMALLEST} or more.")
        if self.name == "imagecorruptions":
            use = VARIANTS.get(corruption, FUNCTIONS[corruption])
            return resolve(use), IMAGECORRUPTIONS[corruption][severity - 1]
        size = shorter if self.table is None else self.table
        if size not in TABLES:
            raise UsageError(
                f"there are no constants for images of {height} x {width} pixels; resize them so that the shorter side "
                f"has {_SIZES} pixels, or name one of these sizes as the table."
            )
        return resolve(FUNCTIONS[corruption]), TABLES[size][corruption][severity - 1]


def quantised(x: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, truncated like the authors' cast; the nudge keeps k/255 at k whatever the rounding.

    Images that are uint8 already stay as they are.
    """
    # In place and through int32: fresh memory and the cast from float to uint8 would cost more than all else.
    return x if x.dtype == torch.uint8 else x.clamp(0, 1).mul_(255).add_(1e-4).to(torch.int32).to(torch.uint8)
