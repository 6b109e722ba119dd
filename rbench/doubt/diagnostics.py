"""What a diagnostic is: a question to an evaluation, the values that it complains about, and what they mean."""

from dataclasses import dataclass
from typing import Literal

from rbench.types import Finding, Level


@dataclass(frozen=True)
class Bound:
    """A threshold: speaks of a value beyond `value` that was seen on at least `count` samples."""

    value: float
    count: int = 0


@dataclass(frozen=True)
class Diagnostic:
    """One question to an evaluation: what is computed, when it speaks, what that means and what to do.

    Values are shares in [0, 1] unless `unit` says otherwise, and `below` turns the thresholds around. A diagnostic that
    `refuses` ends the evaluation without a number.
    """

    code: str
    name: str
    computed: str
    meaning: str
    remedy: str
    source: str
    warn: Bound | None = None
    error: Bound | None = None
    unit: Literal["share", "number"] = "share"
    below: bool = False
    refuses: bool = False

    def level(self, value: float, count: int | None = None) -> Level | None:
        """How bad a value is, seen on `count` samples where samples are counted; None if it is fine."""
        levels: tuple[tuple[Level, Bound | None], ...] = (("error", self.error), ("warn", self.warn))
        for level, bound in levels:
            if bound is not None and self._beyond(value, bound.value) and (count is None or count >= bound.count):
                return level
        return None

    def find(self, value: float, message: str, count: int | None = None) -> tuple[Finding, ...]:
        """The finding that a value gives rise to, or none."""
        level = self.level(value, count)
        return () if level is None else (Finding(self.code, level, message),)

    def share(self, count: int, n: int, message: str) -> tuple[Finding, ...]:
        """The finding that `count` of n samples give rise to, or none."""
        return self.find(count / n, f"{count} of {n} samples {message}", count) if n else ()

    @property
    def threshold(self) -> str:
        """When it speaks, in words."""
        if self.refuses:
            return "refused: the evaluation stops without a number"
        bounds = {"warn": self.warn, "error": self.error}
        words = [f"{level} {self._words(bound)}" for level, bound in bounds.items() if bound is not None]
        return "; ".join(words) or "info: it is said, and casts no doubt"

    def explanation(self) -> str:
        """All of it as text for a terminal."""
        return "\n".join(
            [
                f"{self.code} {self.name}",
                f"  computed   {self.computed}",
                f"  threshold  {self.threshold}",
                f"  meaning    {self.meaning}",
                f"  what to do {self.remedy}",
                f"  source     {self.source}",
            ]
        )

    def _beyond(self, value: float, bound: float) -> bool:
        return value < bound if self.below else value > bound

    def _words(self, bound: Bound) -> str:
        value = f"{100 * bound.value:g}%" if self.unit == "share" else f"{bound.value:g}"
        samples = f" and on at least {bound.count} samples" if bound.count else ""
        return f"{'below' if self.below else 'above'} {value}{samples}"
