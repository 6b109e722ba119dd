"""Arms of a study, trained from several seeds and asked about the same images, to errors and differences; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rbench.statistics.intervals import Interval, crossed
from rbench.trials import Arm, Measure, Study
from rbench.types import FloatArray, Outcomes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trained:
    """One arm from one seed: the errors [images] of each measure, and what the training was like.

    `seconds` are those of an epoch (the median), `search` those that the controller learnt in all; `origin` says where
    altered images come from. `reached` says whether the training ended because it was as good as was wanted.
    """

    errors: Mapping[str, FloatArray]
    epochs: int
    best: int
    clean: float
    robust: float | None
    seconds: float
    search: float
    origin: tuple[str, ...] = ()
    reached: bool | None = None

    @property
    def cost(self) -> float:
        """The seconds of a whole training as an undisturbed machine would take them."""
        return self.epochs * self.seconds + self.search


@dataclass(frozen=True)
class Difference:
    """The error of an arm less that of another one, in [-1, 1], over seeds and images; `ahead` counts better seeds."""

    arm: str
    against: str
    measure: str
    value: float
    interval: Interval
    ahead: int

    @property
    def verdict(self) -> str:
        """What the interval lets one say of the arm."""
        low, high = self.interval
        return "better" if high < 0 else "worse" if low > 0 else "undecided"


@dataclass(frozen=True)
class Comparison:
    """A study's results: one `Trained` for each arm and seed, in the order of the study's seeds."""

    study: Study
    images: int
    trained: Mapping[str, tuple[Trained, ...]]

    def errors(self, arm: str, measure: str) -> FloatArray:
        """The errors [seeds, images] of an arm."""
        return np.stack([each.errors[measure] for each in self.trained[arm]])

    def error(self, arm: str, measure: str) -> tuple[float, Interval]:
        """The mean error of an arm with its interval over seeds and images."""
        errors = self.errors(arm, measure)
        low, high = crossed(errors)
        return float(errors.mean()), Interval(max(low, 0.0), min(high, 1.0))

    def difference(self, arm: str, against: str, measure: str) -> Difference:
        """The paired difference of two arms: seed by seed, image by image."""
        gap = self.errors(arm, measure) - self.errors(against, measure)
        ahead = int((gap.mean(1) < 0).sum())
        return Difference(arm, against, measure, float(gap.mean()), crossed(gap), ahead)

    @property
    def differences(self) -> list[Difference]:
        """All that the study asks for, by measure and arm."""
        return [
            self.difference(arm.name, other, measure.name)
            for measure in self.study.measures
            for arm in self.study.every
            for other in arm.against
        ]

    def cost(self, arm: Arm) -> float:
        """How many times as long a training takes as one of the first arm that it stands against; else 1."""
        own, other = (self._cost(name) for name in (arm.name, arm.against[0] if arm.against else arm.name))
        return own / other

    def _cost(self, arm: str) -> float:
        return float(np.median([each.cost for each in self.trained[arm]]))

    @property
    def ended(self) -> bool:
        """Whether any training could end before its last epoch."""
        return any(each.reached is not None for arm in self.trained.values() for each in arm)

    def converged(self, arm: str) -> tuple[int, float | None]:
        """How many trainings of an arm reached what was wanted, and after how many epochs on average."""
        epochs = [each.epochs for each in self.trained[arm] if each.reached]
        return len(epochs), float(np.mean(epochs)) if epochs else None

    @property
    def seeds_frame(self) -> "pd.DataFrame":
        """A row for each arm and seed: the errors in %, the epoch that was picked, and the time it took."""
        import pandas as pd

        rows = []
        for arm in self.study.every:
            for seed, each in zip(self.study.seeds, self.trained[arm.name], strict=True):
                errors = {
                    measure.name: 100 * float(each.errors[measure.name].mean()) for measure in self.study.measures
                }
                held_out = {"held_out_clean": each.clean, "held_out_robust": each.robust}
                times = {"epoch_seconds": each.seconds, "search_seconds": each.search}
                end = {"epochs": each.epochs, "reached": each.reached} if self.ended else {}
                rows.append({"arm": arm.name, "seed": seed, **errors, "epoch": each.best, **held_out, **times, **end})
        return pd.DataFrame(rows)

    @property
    def differences_frame(self) -> "pd.DataFrame":
        """A row for each difference, in points of error."""
        import pandas as pd

        rows = [
            {
                "arm": d.arm, "against": d.against, "measure": d.measure, "points": 100 * d.value,
                "low": 100 * d.interval.low, "high": 100 * d.interval.high, "seeds_ahead": d.ahead,
                "seeds": len(self.study.seeds), "verdict": d.verdict,
            }
            for d in self.differences
        ]  # fmt: skip
        return pd.DataFrame(rows)


def image_errors(probes: Sequence[Outcomes], measure: Measure) -> FloatArray:
    """The error of every image, in the order of its sample id, of the outcomes of a measure's probes.

    Raises `ValueError` if the probes do not hold the same images, or not equally many rows of each of them.
    """
    samples = np.unique(probes[0].sample)
    shares = []
    for outcomes in probes:
        places = np.searchsorted(samples, outcomes.sample).clip(max=len(samples) - 1)
        counts = np.bincount(places, minlength=len(samples))
        if not np.array_equal(samples[places], outcomes.sample) or np.ptp(counts):
            raise ValueError(f"the probes of measure {measure.name!r} do not hold the same images")
        wrong = np.bincount(places, weights=~outcomes.correct, minlength=len(samples))
        shares.append(wrong / counts)
    return np.mean(shares, axis=0) if measure.how == "mean" else (np.max(shares, axis=0) > 0).astype(np.float64)
