"""The nouns of training: recipes, as TOML on the shelf spells them. Frozen, and free of torch."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.types import STRICT, Call, Threat


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent; from each epoch in `milestones` (counted from 0) on, `lr` shrinks by `gamma`."""

    __pydantic_config__: ClassVar = STRICT
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.lr * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)


@dataclass(frozen=True)
class Augment:
    """Crops of the image padded by `pad` pixels on every side, and mirror images (never for digits)."""

    __pydantic_config__: ClassVar = STRICT
    pad: int = 0
    padding: Literal["zero", "grey", "reflect"] = "zero"
    flip: bool = False


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
    """How a checkpoint is made: data, objective, optimiser, augmentation, attack, selection, and optionally subnets.

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
    attack: InnerAttack | None = None
    selection: Selection = Selection()
    ews: Ews | None = None

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "holdout"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key} = {getattr(self, key)} must be at least 1.")
