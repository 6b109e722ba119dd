"""How images are shown: crops, mirror images, policies and mixtures."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.recipe.ranges import at_least, positive
from rbench.types import STRICT


@dataclass(frozen=True)
class Augment:
    """Crops of the image padded by `pad` pixels on every side, and mirror images (never for digits).

    Or, for image files, crops of a share of the area between the two of `area`, scaled to the size of the data set.
    `policy` is then applied to the crop: AutoAugment's for a data set (Cubuk et al., CVPR 2019), which leaves grey
    level `fill` where it shifts the image away. At last a square of `cutout` pixels a side around a random pixel is
    made black, as much of it as lies in the image (DeVries and Taylor, arXiv 1708.04552).
    """

    __pydantic_config__: ClassVar = STRICT
    pad: int = 0
    padding: Literal["zero", "grey", "reflect"] = "zero"
    area: tuple[float, float] | None = None
    flip: bool = False
    policy: Literal["cifar10", "imagenet", "svhn"] | None = None
    fill: int = 128
    cutout: int = 0

    def __post_init__(self) -> None:
        at_least(0, "augment.", self, "pad", "cutout")
        if not 0 <= self.fill <= 255:
            raise UsageError(f"augment.fill = {self.fill} must be a grey level from 0 to 255.")
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise UsageError(f"augment.area = {list(self.area)} must be two shares of an image, the smaller one first.")
        if self.area is not None and self.pad:
            raise UsageError("augment.pad and augment.area are two ways to crop; choose one.")


@dataclass(frozen=True)
class AugMix:
    """Mixtures of `width` chains of 1 to 3 operations each (of `depth` ones if given), for consistent predictions.

    Operations are drawn up to `severity`, of 10; weights of the chains are Dirichlet(alpha), that of the mixture
    against the image Beta(alpha, alpha); the Jensen-Shannon divergence of the predictions has the weight `jsd`. The
    defaults are the settings of the paper for CIFAR-10. Hendrycks et al., "AugMix: a simple data processing method to
    improve robustness and uncertainty", ICLR 2020.
    """

    __pydantic_config__: ClassVar = STRICT
    severity: int = 3
    width: int = 3
    depth: int | None = None
    alpha: float = 1.0
    jsd: float = 12.0

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= 10:
            raise UsageError(f"augmix.severity = {self.severity} must be from 1 to 10.")
        if self.width < 1 or (self.depth is not None and self.depth < 1):
            raise UsageError(f"augmix.width = {self.width} and depth = {self.depth} must each be at least 1.")
        positive("augmix", self, "alpha")
        at_least(0, "augmix.", self, "jsd")
