"""The nouns of gates: which scores of a model may drop how far below those of a baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

from rbench.errors import UsageError
from rbench.types import STRICT

Undecided = Literal["fail", "warn"]


@dataclass(frozen=True)
class GateScore:
    """A score of the suite, and by how much it may drop: `delta` in (0, 1), a share of all images."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    delta: float

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise UsageError(f"scores.{self.name}: delta = {self.delta} must lie between 0 and 1; 0.01 is one point.")


@dataclass(frozen=True)
class Gate:
    """A gate on a model of a suite: no score may have dropped by more than its delta, at level `alpha`.

    Images are looked at `look` at a time, `budget` of them at most (all by default), and AutoAttack verifies at most
    `verify` of those that a worst case leaves it (all by default). `policy` says by a branch's name or pattern whether
    an undecided gate fails there or only warns; the first that matches counts, else it fails.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    suite: str
    model: str
    scores: tuple[GateScore, ...]
    alpha: float = 0.05
    seed: int = 0
    look: int = 50
    budget: int | None = None
    verify: int | None = None
    policy: Mapping[str, Undecided] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise UsageError(f"alpha = {self.alpha} must lie between 0 and 0.5.")
        for what in ("look", "budget", "verify"):
            if (value := getattr(self, what)) is not None and value < 1:
                raise UsageError(f"{what} = {value} must be at least 1.")
        if not self.scores:
            raise UsageError("a gate needs at least one score: [scores.worst-case] with a delta.")

    def undecided(self, branch: str) -> Undecided:
        """What an undecided gate means on a branch."""
        return next((word for pattern, word in self.policy.items() if fnmatchcase(branch, pattern)), "fail")
