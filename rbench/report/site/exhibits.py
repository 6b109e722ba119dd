"""What a gallery is made of: samples as they are and as a probe has them, with what a model says of them."""

from collections.abc import Callable
from dataclasses import dataclass

from rbench.planner import Variant
from rbench.report.site.choice import Choice
from rbench.types import FloatArray, Suite

MARGIN, DISTANCE = 1e-4, 1e-6  # of margins, relative to 1 + their size, and of distances: what counts as rounding


@dataclass(frozen=True)
class Seen:
    """What the model says of an image, and how far it is from the clean one in the threat's norm."""

    pred: int
    margin: float
    distance: float

    def agrees(self, other: "Seen") -> bool:
        """Whether two outcomes are equal but for rounding."""
        near = abs(self.margin - other.margin) <= MARGIN * (1 + abs(other.margin))
        return self.pred == other.pred and near and abs(self.distance - other.distance) <= DISTANCE


@dataclass(frozen=True)
class Example:
    """A sample, clean and changed, [C, H, W] in [0, 1]: what is found now, and what the run has (`then`)."""

    sample: int
    severity: int
    label: int
    clean: FloatArray
    changed: FloatArray
    now: Seen
    then: Seen

    @property
    def repeated(self) -> bool:
        """Whether the image has the outcome that the run has."""
        return self.now.agrees(self.then)


@dataclass(frozen=True)
class Series:
    """The samples of one probe; or the `reason` why there are no images."""

    choice: Choice
    examples: tuple[Example, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Gallery:
    """The samples of all probes of a run; or the `reason` why there are no images."""

    series: tuple[Series, ...]
    reason: str = ""


Curates = Callable[[Suite, str, Variant], Gallery]  # makes the gallery of a run: a suite, a model, a variant
