"""The constants of the 14 perturbation sequences, by the size of the images; plain data.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019,
and the scripts that made ImageNet-P (224 pixels; 299 for Inception), Tiny-ImageNet-P (64) and CIFAR-P (32):
github.com/hendrycks/robustness at 8190fe3, folder ImageNet-P/create_p.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rbench.errors import UsageError, unknown

SCORED = (
    "gaussian_noise", "shot_noise", "motion_blur", "zoom_blur", "snow",
    "brightness", "translate", "rotate", "tilt", "scale",
)  # fmt: skip
VALIDATION = ("speckle_noise", "gaussian_blur", "spatter", "shear")
PERTURBATIONS = SCORED + VALIDATION
AGAINST_FIRST = ("gaussian_noise", "shot_noise", "speckle_noise")
"""Every frame is noise of its own, compared with the clean first frame; elsewhere with the frame before."""
GEOMETRIC = ("zoom_blur", "translate", "rotate", "tilt", "scale", "shear")
"""These see the whole image and crop the result; the others crop the image first."""


@dataclass(frozen=True)
class Sweep:
    """What changes from frame to frame is start + step * i in frame i = 0, 1, ...; the rest are constants.

    `levels` are the strengths of a noise at the difficulties 1, 2, 3.
    """

    start: float = 0.0
    step: float = 0.0
    constants: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    frames: int = 31

    @property
    def values(self) -> tuple[float, ...]:
        """What changes, in every frame; rounded, since 0.4 + 24 * 0.025 is to be 1 and the frame unchanged."""
        return tuple(round(self.start + self.step * i, 9) for i in range(self.frames))


# Swept are the angle of motion_blur and snow, tilt, rotate and shear (degrees), the factor of zoom_blur and scale, what
# brightness adds, the pixels of translate, the sigma of gaussian_blur. Constants: motion_blur (radius, sigma); snow
# (loc, scale, zoom, threshold, radius, sigma, blend); gaussian_blur (truncate,); spatter (loc, scale, sigma, threshold,
# strength, *weights of the filter by which it drips). Levels: the sigma of Gaussian and speckle noise; photons.
_224: Mapping[str, Sweep] = {
    "gaussian_noise": Sweep(levels=(0.03, 0.05, 0.08)),
    "shot_noise": Sweep(levels=(300, 120, 60)),
    "motion_blur": Sweep(-120, 4, (10, 3)),
    "zoom_blur": Sweep(1, 0.004),
    "snow": Sweep(-150, 4, (0.05, 0.3, 3, 0.5, 14, 4, 0.85)),
    "brightness": Sweep(-0.3, 0.02),
    "translate": Sweep(-20, 1, frames=41),
    "rotate": Sweep(-15, 1),
    "tilt": Sweep(-15, 1),
    "scale": Sweep(0.4, 0.025),
    "speckle_noise": Sweep(levels=(0.05, 0.1, 0.15)),
    "gaussian_blur": Sweep(0.25, 0.035, (6,)),
    "spatter": Sweep(constants=(0.65, 0.27, 3.7, 0.69, 0.6, 0.05, 0.1, 0.15, 0.7)),
    "shear": Sweep(-15, 1),
}
SWEEPS: Mapping[int, Mapping[str, Sweep]] = {
    224: _224,
    299: {
        **_224,
        "gaussian_noise": Sweep(levels=(0.035, 0.055, 0.085)),
        "shot_noise": Sweep(levels=(250, 100, 50)),
        "motion_blur": Sweep(-120, 4, (13, 3)),
        "speckle_noise": Sweep(levels=(0.06, 0.11, 0.16)),
        "gaussian_blur": Sweep(0.35, 0.035, (6,)),
        "spatter": Sweep(constants=(0.65, 0.3, 4, 0.69, 0.6, 0.05, 0.1, 0.15, 0.7)),
    },
    64: {
        **_224,
        "gaussian_noise": Sweep(levels=(0.025, 0.05, 0.075)),
        "shot_noise": Sweep(levels=(500, 250, 125)),
        "motion_blur": Sweep(-150, 5, (14, 3)),
        "snow": Sweep(-150, 4, (0.05, 0.28, 2, 0.5, 10, 2.5, 0.85)),
        "translate": Sweep(-15, 1),
        "gaussian_blur": Sweep(0.35, 0.014, (7,)),
        "spatter": Sweep(constants=(0.6, 0.25, 1.75, 0.7, 0.6, 0.2, 0.8)),
    },
    32: {
        **_224,
        "gaussian_noise": Sweep(levels=(0.02, 0.04, 0.06)),
        "shot_noise": Sweep(levels=(700, 400, 200)),
        "motion_blur": Sweep(-180, 9, (6, 1.8), frames=21),
        "snow": Sweep(-150, 4, (0.05, 0.3, 2, 0.5, 10, 2, 0.85)),
        "brightness": Sweep(-0.225, 0.015),
        "translate": Sweep(-7, 1, frames=16),
        "tilt": Sweep(-11.25, 0.75),
        "scale": Sweep(0.7, 0.02),
        "speckle_noise": Sweep(levels=(0.05, 0.07, 0.1)),
        "gaussian_blur": Sweep(0.3, 0.015, (7,)),
        "spatter": Sweep(constants=(0.6, 0.265, 1.75, 0.7, 0.6, 0.2, 0.8)),
    },
}
# Where the authors worked on the photographs before they made them small; rbench has the small images only.
AT_SOURCE_SIZE: Mapping[int, tuple[str, ...]] = {
    299: ("translate", "rotate", "tilt", "scale", "shear"),
    64: ("motion_blur",),
}


def sweep(perturbation: str, size: int) -> Sweep:
    """The constants of a perturbation for images of a size; raises `UsageError` for a name or size without any."""
    if perturbation not in PERTURBATIONS:
        raise unknown("perturbation", perturbation, PERTURBATIONS)
    if size not in SWEEPS:
        sizes = ", ".join(map(str, sorted(SWEEPS)))
        raise UsageError(f"there are no constants of sequences for {size} pixels; name one of {sizes} as the table.")
    return SWEEPS[size][perturbation]


def frames(perturbation: str, size: int) -> int:
    """How many frames a sequence has; raises `UsageError` for a name or size without constants."""
    return sweep(perturbation, size).frames
