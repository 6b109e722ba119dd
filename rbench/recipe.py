"""The nouns of training: recipes, as TOML on the shelf spells them. Frozen, and free of torch.

A recipe is made of parts that combine freely: what is minimised (`objective`, `attack`, `augmix`), at which weights
(`awp`), what else is trained along (`ews`), on which images (`augment`), and how (`optimiser`, `schedule`). A default
never changes its meaning, since states of trainings leave it unsaid: what is new gets a new word.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rbench.errors import UsageError
from rbench.types import STRICT, Call, Threat, fraction


def _positive(table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table that are not greater than 0."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not value > 0:
            raise UsageError(f"{table}.{key} = {value} must be greater than 0.")


def _at_least(least: float, table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table, or of the recipe itself, that are less than `least`."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not value >= least:
            raise UsageError(f"{table}{key} = {value} must be at least {least}.")


def _share(table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table outside [0, 1)."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not 0 <= value < 1:
            raise UsageError(f"{table}{key} = {value} must be at least 0 and less than 1.")


def _step(table: str, part: "InnerAttack | Selection") -> None:
    """Refuse an attack without steps, or with one of no length."""
    _at_least(1, f"{table}.", part, "steps")
    if not fraction(part.rel_step, f"{table}.rel_step") > 0:
        raise UsageError(f"{table}.rel_step = {part.rel_step!r} must be greater than 0.")


@dataclass(frozen=True)
class Optimiser:
    """Stochastic gradient descent, with `momentum` 0.9 unless given, or AdamW, which has its own.

    `clip` cuts the gradient to that norm. `decay_norms = false` spares tensors of one dimension the weight decay: what
    norms scale and shift by, and biases.
    """

    __pydantic_config__: ClassVar = STRICT
    lr: float
    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float | None = None
    weight_decay: float = 5e-4
    decay_norms: bool = True
    nesterov: bool = False
    clip: float | None = None

    def __post_init__(self) -> None:
        _positive("optimiser", self, "lr", "clip")
        _at_least(0, "optimiser.", self, "weight_decay")
        _share("optimiser.", self, "momentum")
        if self.kind != "sgd" and (self.momentum is not None or self.nesterov):
            raise UsageError(f"optimiser.momentum and nesterov belong to kind = 'sgd'; {self.kind!r} has its own.")
        if self.nesterov and self.momentum == 0:
            raise UsageError("optimiser.nesterov looks ahead by the momentum, which must be greater than 0.")


@dataclass(frozen=True)
class Schedule:
    """The learning rate by epoch, counted from 0.

    In steps: from each of the `milestones` on it shrinks by `gamma`; or along half a cosine down to `to`. In the first
    `warmup` epochs it is (epoch + 1)/warmup of that; or else it rises from `warmup_from` in a straight line that would
    reach the highest rate in epoch `warmup`, where a cosine then starts.
    """

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    to: float = 0.0
    warmup: int = 0
    warmup_from: float | None = None

    def __post_init__(self) -> None:
        _positive("schedule", self, "warmup_from")
        _at_least(0, "schedule.", self, "gamma", "to")
        if self.warmup_from is not None and not self.warmup:
            raise UsageError("schedule.warmup_from is where a rise starts; give its length in schedule.warmup.")
        if self.kind == "steps" and self.to:
            raise UsageError("schedule.to is where a cosine ends; with kind = 'steps' there is none.")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise UsageError(f"schedule.milestones = {list(self.milestones)} must ascend.")
        if self.kind == "cosine" and self.milestones:
            raise UsageError("schedule.milestones belong to kind = 'steps'; a cosine has none.")

    def rate(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch of `epochs` in all, where `lr` is the highest."""
        if self.warmup_from is not None and epoch < self.warmup:
            return self.warmup_from + (lr - self.warmup_from) * epoch / self.warmup
        if self.kind == "cosine":
            first = self.warmup if self.warmup_from is not None else 0
            share = (1 + math.cos(math.pi * (epoch - first) / (epochs - first))) / 2
            rate = self.to + (lr - self.to) * share
        else:
            rate = lr * self.gamma ** sum(milestone <= epoch for milestone in self.milestones)
        return rate * (epoch + 1) / self.warmup if epoch < self.warmup else rate


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
        _at_least(0, "augment.", self, "pad", "cutout")
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
        _positive("augmix", self, "alpha")
        _at_least(0, "augmix.", self, "jsd")


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside training: PGD on the cross-entropy, or on KL(f(x) || f(x')) as in TRADES.

    It starts at a uniform point of the ball, or at x + 0.001 N(0, 1); `mode` says whether batch norm uses the batch.
    In the first `warmup` epochs there is none, and cross-entropy on clean images is minimised.
    """

    __pydantic_config__: ClassVar = STRICT
    threat: Threat
    steps: int = 10
    rel_step: str = "1/4"
    loss: Literal["ce", "kl"] = "ce"
    start: Literal["uniform", "normal"] = "uniform"
    mode: Literal["train", "eval"] = "train"
    warmup: int = 0

    def __post_init__(self) -> None:
        _step("attack", self)


@dataclass(frozen=True)
class Awp:
    """Adversarial weight perturbation: every step is taken at weights that raise the loss, `gamma` of their norm away.

    Not in the first `warmup` epochs. Wu, Xia and Wang, "Adversarial weight perturbation helps robust generalization",
    NeurIPS 2020.
    """

    __pydantic_config__: ClassVar = STRICT
    gamma: float
    warmup: int = 0

    def __post_init__(self) -> None:
        _positive("awp", self, "gamma")


@dataclass(frozen=True)
class Selection:
    """The attack on held-out images that picks the best epoch; without a threat, clean accuracy picks it."""

    __pydantic_config__: ClassVar = STRICT
    threat: Threat | None = None
    steps: int = 20
    rel_step: str = "1/4"

    def __post_init__(self) -> None:
        _step("selection", self)


@dataclass(frozen=True)
class Ews:
    """Enhancing the weak subnets of a network; the defaults are the settings of the paper.

    `rho` of the paths and channels make a subnet, whose `loss` - the divergence from the full network, or cross-entropy
    - has weight `lam`. `paths = false` masks channels only; `kl = "mean"` averages the divergence over classes, too.
    Which subnet: by `strategy` one that a controller found weak (`search`), any (`random`), or the one of the channels
    of least L1 norm (`l1-norm`). The controller learns from epoch `every` on, and again every `every` epochs: `passes`
    over a fixed `subset` of the training images, as the objective shows them or `clean`, `subnets` of them a batch, by
    Adam (`lr`) with an `entropy` bonus, a baseline of decay `decay` and gradients cut to norm `clip`. With
    `every_steps` it learns instead on the training batch of every so many steps, as in the authors' programs, which
    also feed the `advantage` to the baseline, some of them from 0 on in every epoch. Guo, Stutz and Schiele, "Improving
    robustness by enhancing weak subnets", ECCV 2022.
    """

    __pydantic_config__: ClassVar = STRICT
    rho: float = 0.5
    lam: float = 1.0
    strategy: Literal["search", "random", "l1-norm"] = "search"
    loss: Literal["kl", "ce"] = "kl"
    kl: Literal["batchmean", "mean"] = "batchmean"
    paths: bool = True
    images: Literal["seen", "clean"] = "seen"
    every: int = 10
    every_steps: int | None = None
    subset: float = 0.1
    passes: int = 1
    subnets: int = 8
    hidden: int = 100
    lr: float = 3e-4
    entropy: float = 0.01
    baseline: Literal["reward", "advantage", "advantage-restarted"] = "reward"
    decay: float = 0.99
    clip: float = 3.0

    def __post_init__(self) -> None:
        for key in ("rho", "subset"):
            if not 0 < getattr(self, key) <= 1:
                raise UsageError(f"ews.{key} = {getattr(self, key)} must be greater than 0 and at most 1.")
        _at_least(1, "ews.", self, "every", "every_steps", "passes", "subnets", "hidden")
        _at_least(0, "ews.", self, "lam", "entropy")
        _positive("ews", self, "lr", "clip")
        _share("ews.", self, "decay")
        if self.strategy != "search" and self.every_steps is not None:
            raise UsageError(f"ews.every_steps is for a controller, and strategy = {self.strategy!r} has none.")
        if self.every_steps is not None and self.images != "seen":
            raise UsageError("ews.every_steps learns on training batches as they are seen; remove images = 'clean'.")
        if self.loss != "kl" and self.kl != "batchmean":
            raise UsageError("ews.kl says how the divergence is averaged; with loss = 'ce' there is none.")


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: data, objective, optimiser, schedule, augmentation, attack, selection and subnets.

    `holdout` images of the training split, the same for every seed, are never trained on and pick the best epoch.
    `precision = "bf16"` trains in mixed precision. `threads` are those of a CPU, on whose number sums depend, so that
    a recipe with that number gives the same bits whatever the machine's cores. `presets` are named changes to the
    recipe, as "table.key" = value, such as those of the authors' program where it departs from their paper.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    data: Call
    objective: Call
    epochs: int
    batch: int
    holdout: int
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    seed: int = 0
    label_smoothing: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None
    augment: Augment = Augment()
    augmix: AugMix | None = None
    attack: InnerAttack | None = None
    awp: Awp | None = None
    ews: Ews | None = None
    selection: Selection = Selection()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _at_least(1, "", self, "epochs", "batch", "holdout", "threads")
        _share("", self, "label_smoothing")
        for table, part in {"schedule": self.schedule, "awp": self.awp, "attack": self.attack}.items():
            if part is not None and not 0 <= part.warmup < self.epochs:
                raise UsageError(f"{table}.warmup = {part.warmup} must be less than epochs = {self.epochs}.")
        if self.schedule.to > self.optimiser.lr:
            raise UsageError(f"schedule.to = {self.schedule.to} must not exceed optimiser.lr = {self.optimiser.lr}.")

    @property
    def full(self) -> int:
        """The first epoch of which the steps have all their parts: attacks and perturbed weights, if there are any."""
        return max(part.warmup if part is not None else 0 for part in (self.attack, self.awp))

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.schedule.rate(self.optimiser.lr, epoch, self.epochs)
