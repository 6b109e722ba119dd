"""What training is made robust against: attacks on images, and on weights."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.recipe.ranges import attack_of_steps, positive
from rbench.types import STRICT, Threat


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
        attack_of_steps("attack", self)


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
        positive("awp", self, "gamma")
