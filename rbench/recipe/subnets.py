"""What is trained beside the network: enhanced weak subnets."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.recipe.ranges import at_least, below_one, positive
from rbench.types import STRICT


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
        at_least(1, "ews.", self, "every", "every_steps", "passes", "subnets", "hidden")
        at_least(0, "ews.", self, "lam", "entropy")
        positive("ews", self, "lr", "clip")
        below_one("ews.", self, "decay")
        if self.strategy != "search" and self.every_steps is not None:
            raise UsageError(f"ews.every_steps is for a controller, and strategy = {self.strategy!r} has none.")
        if self.every_steps is not None and self.images != "seen":
            raise UsageError("ews.every_steps learns on training batches as they are seen; remove images = 'clean'.")
        if self.loss != "kl" and self.kl != "batchmean":
            raise UsageError("ews.kl says how the divergence is averaged; with loss = 'ce' there is none.")
