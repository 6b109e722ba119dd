"""Where a network's weights start, and which part of it is trained."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.recipe.ranges import at_least
from rbench.types import STRICT


@dataclass(frozen=True)
class Start:
    """Trained weights to start from in the place of random ones: those of `model`, another one of the catalog.

    The part f_b of [parts] starts from those of the model `f_b`, if one is named.
    """

    __pydantic_config__: ClassVar = STRICT
    model: str
    f_b: str | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose weights are needed."""
        return (self.model,) if self.f_b is None else (self.model, self.f_b)


@dataclass(frozen=True)
class Parts:
    """A network in two: f_b, its last `f_b` convolutions and linear layers with all that runs after the first of them.

    Only the part `trained` learns. The other one keeps its weights and what its batch norms remember; these normalise
    by that (`norms = "eval"`) or, as in the authors' program, by the batch (`"batch"`). Andle, Craig, Nowak and Yasaei
    Sekeh, "Semirobust subnetworks", arXiv 2307.03803; see `rbench.models.splits`.
    """

    __pydantic_config__: ClassVar = STRICT
    f_b: int
    trained: Literal["f_a", "f_b", "both"] = "both"
    norms: Literal["eval", "batch"] = "eval"

    def __post_init__(self) -> None:
        at_least(1, "parts.", self, "f_b")


def together(start: Start | None, parts: Parts | None) -> None:
    """Refuse a part that starts elsewhere without parts, parts that are for nothing, and random weights that stay."""
    if start is not None and start.f_b is not None and parts is None:
        raise UsageError(f"start.f_b = {start.f_b!r} needs a table [parts] that says where f_b begins.")
    if parts is None:
        return
    if start is None:
        raise UsageError("[parts] needs a table [start]: what is not trained would keep random weights.")
    if parts.trained == "both" and start.f_b is None:
        raise UsageError("[parts] changes nothing: name a part in parts.trained, or a model in start.f_b.")
