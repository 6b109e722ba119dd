"""Security curves: accuracy against eps, from one evaluation at each eps; pure.

A larger ball holds every image of a smaller one, so a sample that falls at some eps falls at all larger ones. Where an
attack misses what it found in less room, that answer is carried over, and how often that was needed is counted. The
curve ends in a ball that holds the whole box [0, 1], where an attack that works fools everything. Biggio and Roli,
"Wild patterns", Pattern Recognition 84, 2018; Carlini et al., "On evaluating adversarial robustness", 2019.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from rbench.catalog import resolve
from rbench.doubt.codes import CODES
from rbench.errors import UsageError
from rbench.pages import Cell, Column, Sheet
from rbench.types import Finding, Outcomes, Score, ScoreSpec, Suite, Threat, Verdict, fraction

if TYPE_CHECKING:
    import pandas as pd

CARRIED = ("pred", "margin", "distance")  # from the eps at which a sample fell


@dataclass(frozen=True)
class Point:
    """One eps of a curve as text; `unbounded` if its ball holds the whole box of images."""

    eps: str
    unbounded: bool = False

    @property
    def radius(self) -> float:
        """The value of eps, in units of images in [0, 1]."""
        return float(fraction(self.eps, "eps"))

    @property
    def title(self) -> str:
        """How a table names the point."""
        return f"{self.eps} (unbounded)" if self.unbounded else self.eps


@dataclass(frozen=True)
class Value:
    """A score at one eps, and how many samples it counts as fooled because they were at a smaller one."""

    score: Score
    corrected: int


@dataclass(frozen=True)
class Curve:
    """The scores of a suite's attacks on one model, by eps and name of the score; `verdicts` are those of the runs."""

    suite: Suite
    model: str
    protocol: str
    total: int
    points: tuple[Point, ...]
    values: Mapping[tuple[str, str], Value]
    verdicts: Mapping[str, Verdict]

    @property
    def scores(self) -> tuple[ScoreSpec, ...]:
        """The scores that have a curve, in the order of the suite."""
        return attacked(self.suite)

    @property
    def sheet(self) -> Sheet:
        """The curve as a sheet: rows are eps, columns scores."""
        key = {score.name: f"{self.suite.name}:{score.name}" for score in self.scores}
        return Sheet(
            f"{self.suite.name}-curve",
            f"{self.model}: accuracy against eps",
            (self.protocol, "A sample that falls at some eps counts as fallen at every larger one"),
            tuple((point.eps, point.title) for point in self.points),
            tuple(Column(key[s.name], s.title or s.name, s.higher_is_better) for s in self.scores),
            {(eps, key[name]): Cell(value.score, self.total) for (eps, name), value in self.values.items()},
            {(eps, self.suite.name): verdict for eps, verdict in self.verdicts.items()},
            rows_are="eps",
        )

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each eps and score, values as shares in [0, 1]; `corrected` counts samples."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "eps": point.eps,
                    "radius": point.radius,
                    "unbounded": point.unbounded,
                    "score": score.name,
                    "value": value.score.value,
                    "low": value.score.interval[0],
                    "high": value.score.interval[1],
                    "n": value.score.n,
                    "corrected": value.corrected,
                }
                for point in self.points
                for score in self.scores
                for value in [self.values[point.eps, score.name]]
            ]
        )


def eps_list(text: str | Sequence[str], norm: Literal["linf", "l2"]) -> tuple[str, ...]:
    """The eps of a list such as "0,4/255,8/255" in ascending order, each value once.

    Raises `UsageError` for anything that is no eps under the norm; 0 is one, for the clean accuracy.
    """
    words = [word.strip() for word in (text.split(",") if isinstance(text, str) else text)]
    if not all(words) or not words:
        raise UsageError(f"eps = {text!r} has an empty entry; write a list like '0,4/255,8/255'.")
    values: dict[Fraction, str] = {}
    for word in words:
        value = fraction(word, "eps")
        if value:
            Threat(norm, word)
        values.setdefault(value, word if value else "0")
    return tuple(values[value] for value in sorted(values))


def points_of(eps: Sequence[str], norm: Literal["linf", "l2"], size: int) -> tuple[Point, ...]:
    """The points of a curve over ascending eps: these, and the unbounded one for images of `size` values."""
    least = 1 if norm == "linf" else math.isqrt(size - 1) + 1  # a whole number that is sqrt(size) or just above it
    points = [Point(word, fraction(word, "eps") >= least) for word in eps]
    return tuple(points) if points[-1].unbounded else (*points, Point(str(least), unbounded=True))


def attacked(suite: Suite) -> tuple[ScoreSpec, ...]:
    """The scores that move with eps: some probe of theirs attacks, and none has an eps of its own."""
    attacks = {probe.name for probe in suite.probes if probe.attack is not None}
    fixed = {probe.name for probe in suite.probes if probe.eps is not None}
    return tuple(score for score in suite.scores if attacks & set(score.of) and not fixed & set(score.of))


def compose(
    suite: Suite, points: Sequence[Point], evidence: Mapping[str, Mapping[str, Outcomes]]
) -> dict[tuple[str, str], Value]:
    """The values of a curve by eps and score, from the outcomes by eps and probe; at eps 0 no evidence is needed.

    Raises `UsageError` if the suite has no probe without attack and the curve begins at 0.
    """
    asked = [evidence.get(point.eps) for point in points]
    needed = dict.fromkeys(name for score in attacked(suite) for name in score.of)
    raw = {name: _answers(suite, name, asked) for name in needed}
    held = {name: monotone(answers) for name, answers in raw.items()}
    values = {}
    for index, point in enumerate(points):
        for score in attacked(suite):
            now, was = ([kind[name][index] for name in score.of] for kind in (held, raw))
            found: Score = resolve(score.use)(now)
            values[point.eps, score.name] = Value(found, _lost(was, now))
    return {key: _judged(value, key, points, values) for key, value in values.items()}


def monotone(answers: Sequence[Outcomes]) -> list[Outcomes]:
    """Outcomes at ascending eps in which a sample stays fooled once it is; raises `ValueError` on different samples."""
    held = list(answers[:1])
    for now in answers[1:]:
        before = held[-1]
        if not (np.array_equal(before.sample, now.sample) and np.array_equal(before.label, now.label)):
            raise ValueError("the points of a curve must hold the same samples.")
        fallen = ~before.correct & now.correct
        kept = {name: np.where(fallen, getattr(before, name), getattr(now, name)) for name in CARRIED}
        held.append(replace(now, **kept))
    return held


def _answers(suite: Suite, probe: str, asked: Sequence[Mapping[str, Outcomes] | None]) -> list[Outcomes]:
    """The outcomes of a probe at every point; where nothing was asked (eps 0), those of the images themselves."""
    some = next(evidence for evidence in asked if evidence is not None)
    answers = []
    for evidence in asked:
        if evidence is not None:
            answers.append(evidence[probe])
            continue
        plain = next((p.name for p in suite.probes if p.attack is None and p.data is None), None)
        if plain is None:
            raise UsageError(
                f"eps 0 asks for the clean accuracy, and suite {suite.name!r} has no probe without attack."
            )
        answers.append(_rows(some[plain], some[probe]))
    return answers


def _rows(clean: Outcomes, like: Outcomes) -> Outcomes:
    """The clean outcomes of the samples that a probe asks."""
    place = {int(sample): row for row, sample in enumerate(clean.sample)}
    rows = np.array([place[int(sample)] for sample in like.sample])
    return Outcomes(**{name: values[rows] for name, values in vars(clean).items() if len(values)})


def _lost(raw: Sequence[Outcomes], held: Sequence[Outcomes]) -> int:
    """How many samples would be correct in all probes of a score if nothing had been carried over."""
    before, after = (np.logical_and.reduce([outcomes.correct for outcomes in kind]) for kind in (raw, held))
    return int((before & ~after).sum())


def _judged(
    value: Value, key: tuple[str, str], points: Sequence[Point], values: Mapping[tuple[str, str], Value]
) -> Value:
    """A value with the findings on it, which only cast doubt on the strongest attack at its eps: weak ones may fail."""
    eps, _ = key
    point = next(point for point in points if point.eps == eps)
    score = value.score
    found: tuple[Finding, ...] = ()
    if value.corrected:
        text = f"fell at a smaller eps and not at {eps}; they count as fallen."
        found += CODES["RB122"].share(value.corrected, score.n, text)
    if point.unbounded and score.value:
        text = "survive although the attack may make any image of theirs."
        found += CODES["RB123"].share(round(score.value * score.n), score.n, text)
    if score.value > min(other.score.value for (at, _), other in values.items() if at == eps):
        found = tuple(replace(finding, level="info") for finding in found)
    return replace(value, score=replace(score, findings=(*score.findings, *found)))
