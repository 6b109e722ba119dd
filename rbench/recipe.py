"""The nouns of training: recipes, as TOML on the shelf spells them. Frozen, and free of torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.types import STRICT, Call, Threat


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent; from each epoch in `milestones` (counted from 0) on, `lr` shrinks by `gamma`.

    With `clip`, the gradient of every step is cut to that norm.
    """

    __pydantic_config__: ClassVar = STRICT
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise UsageError(f"optimiser.clip = {self.clip} must be greater than 0; leave it out not to clip.")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.lr * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)


@dataclass(frozen=True)
class Augment:
    """Crops of the image padded by `pad` pixels on every side, and mirror images (never for digits).

    `policy` is then applied to the crop: AutoAugment's for a data set (Cubuk et al., CVPR 2019), which leaves grey
    level `fill` where it shifts the image away.
    """

    __pydantic_config__: ClassVar = STRICT
    pad: int = 0
    padding: Literal["zero", "grey", "reflect"] = "zero"
    flip: bool = False
    policy: Literal["cifar10", "imagenet", "svhn"] | None = None
    fill: int = 128

    def __post_init__(self) -> None:
        if not 0 <= self.fill <= 255:
            raise UsageError(f"augment.fill = {self.fill} must be a grey level from 0 to 255.")


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
        if self.alpha <= 0:
            raise UsageError(f"augmix.alpha = {self.alpha} must be greater than 0.")


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside training: PGD from a uniform start; `mode` says whether batch norm uses the batch (train)."""

    __pydantic_config__: ClassVar = STRICT
    threat: Threat
    steps: int = 10
    rel_step: str = "1/4"
    mode: Literal["train", "eval"] = "train"


@dataclass(frozen=True)
class Selection:
    """The attack on held-out images that picks the best epoch; without a threat, clean accuracy picks it."""

    __pydantic_config__: ClassVar = STRICT
    threat: Threat | None = None
    steps: int = 20
    rel_step: str = "1/4"


@dataclass(frozen=True)
class Ews:
    """Enhancing the weak subnets of a network; the defaults are the settings of the paper.

    `rho` of the paths and channels make a subnet, distilled with weight `lam`. From epoch `every` on, and again every
    `every` epochs, a controller learns which subnets are weak: `passes` over a fixed `subset` of the training images,
    `subnets` of them a batch, by Adam (`lr`) with an `entropy` bonus, a baseline of decay `decay` and gradients cut to
    norm `clip`. `paths = false` masks channels only. Guo, Stutz and Schiele, "Improving robustness by enhancing weak
    subnets", ECCV 2022.
    """

    __pydantic_config__: ClassVar = STRICT
    rho: float = 0.5
    lam: float = 1.0
    paths: bool = True
    every: int = 10
    subset: float = 0.1
    passes: int = 1
    subnets: int = 8
    hidden: int = 100
    lr: float = 3e-4
    entropy: float = 0.01
    decay: float = 0.99
    clip: float = 3.0

    def __post_init__(self) -> None:
        for key in ("rho", "subset"):
            if not 0 < getattr(self, key) <= 1:
                raise UsageError(f"ews.{key} = {getattr(self, key)} must be greater than 0 and at most 1.")
        for key in ("every", "passes", "subnets", "hidden"):
            if getattr(self, key) < 1:
                raise UsageError(f"ews.{key} = {getattr(self, key)} must be at least 1.")


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: data, objective, optimiser, augmentation, attack, selection and subnets.

    `holdout` images of the training split, the same for every seed, are never trained on and pick the best epoch.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    data: Call
    objective: Call
    epochs: int
    batch: int
    holdout: int
    optimiser: Sgd
    seed: int = 0
    label_smoothing: float = 0.0
    augment: Augment = Augment()
    augmix: AugMix | None = None
    attack: InnerAttack | None = None
    selection: Selection = Selection()
    ews: Ews | None = None

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "holdout"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key} = {getattr(self, key)} must be at least 1.")
