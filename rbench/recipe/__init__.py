"""The nouns of training: recipes, as TOML on the shelf spells them. Frozen, and free of torch.

A recipe is made of parts that combine freely: what is minimised (`objective`, `attack`, `augmix`), at which weights
(`awp`), what else is trained along (`ews`), from where on and what of it (`start`, `parts`), on which images
(`augment`), and how (`optimiser`, `schedule`). A default never changes its meaning, since states of trainings leave it
unsaid: what is new gets a new word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rbench.errors import UsageError
from rbench.recipe.adversary import Awp, InnerAttack
from rbench.recipe.fitting import Optimiser, Schedule, Selection
from rbench.recipe.images import Augment, AugMix
from rbench.recipe.parts import Parts, Start, together
from rbench.recipe.ranges import at_least, below_one
from rbench.recipe.subnets import Ews
from rbench.types import STRICT, Call

__all__ = [
    "AugMix",
    "Augment",
    "Awp",
    "Ews",
    "InnerAttack",
    "Optimiser",
    "Parts",
    "Recipe",
    "Schedule",
    "Selection",
    "Start",
]


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
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 0
    label_smoothing: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None
    augment: Augment = field(default_factory=Augment)
    augmix: AugMix | None = None
    attack: InnerAttack | None = None
    awp: Awp | None = None
    ews: Ews | None = None
    start: Start | None = None
    parts: Parts | None = None
    selection: Selection = field(default_factory=Selection)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(1, "", self, "epochs", "batch", "holdout", "threads")
        together(self.start, self.parts)
        below_one("", self, "label_smoothing")
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
