"""Two runs of one protocol to their differences, image by image; what is not the same protocol is refused by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rbench.catalog import Catalog
from rbench.comparison import image_errors
from rbench.current import is_current
from rbench.errors import MissingError, UsageError, unknown
from rbench.planner import Variant, command, run_folder
from rbench.statistics.intervals import Interval, clustered
from rbench.statistics.paired import Paired
from rbench.store import MANIFEST, Run
from rbench.trials import Measure
from rbench.types import FloatArray, Outcomes, ScoreSpec, Suite

PAIRED = {"rbench.metrics:accuracy": "mean", "rbench.metrics:error": "mean", "rbench.metrics:worst_case": "any"}
SAME = ("suite", "data", "samples", "seed", "views", "surrogates")


@dataclass(frozen=True)
class Side:
    """One of two runs, what it is called, and what it is pinned to."""

    name: str
    run: Run
    manifest: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """What its evaluation made of its numbers; "" if it was not diagnosed or has not ended."""
        ended = self.run.verdict()
        return str(ended["verdict"]) if ended and ended["diagnosed"] else ""


@dataclass(frozen=True)
class Difference:
    """The errors in [0, 1] of both sides by one score and their difference, first less second, over n images.

    `table` counts the images that only one side got right, if every image is right or wrong; `discordant` are the
    images on which the sides differ, those that only the first got right, and then the others.
    """

    score: str
    first: float
    second: float
    interval: Interval
    n: int
    table: Paired | None
    discordant: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def value(self) -> float:
        """The difference of errors; above 0 the second is better."""
        return self.first - self.second


def differences(suite: Suite, sides: tuple[Side, Side], scores: Sequence[str] = ()) -> list[Difference]:
    """The differences of two runs by the scores that are means over images, all of them unless some are named.

    Raises `UsageError` for runs of different protocols, for scores that are not there or no means over images.
    """
    _refuse(*sides)
    chosen = [spec for spec in suite.scores if spec.name in scores] if scores else list(suite.scores)
    known = [spec.name for spec in suite.scores]
    for name in scores:
        if name not in known:
            raise unknown("score", name, known, f"suite {suite.name!r}")
    usable = [spec for spec in chosen if spec.use in PAIRED and not spec.args]
    if scores and len(usable) < len(chosen):
        other = next(spec for spec in chosen if spec not in usable)
        raise UsageError(f"score {other.name!r} ({other.use}) is no mean over images, and cannot be paired.")
    found = [_difference(spec, sides) for spec in usable]
    if not any(found):
        raise MissingError(
            f"{sides[0].name} and {sides[1].name} have no complete score in common; go on with `rbench eval`."
        )
    return [each for each in found if each is not None]


def side_of(catalog: Catalog, root: Path, suite: Suite, name: str, variant: Variant) -> Side:
    """A side by its name: a model, "model@weights", or the folder of a run.

    Raises `MissingError` with the command that makes a run which is not there or not current.
    """
    folder = Path(name)
    if (folder / MANIFEST).is_file():
        return Side(name, Run(folder), Run(folder).manifest() or {})
    model, _, file = name.partition("@")
    catalog.model(model)
    asked = replace(variant, weights_file=file or None)
    run = Run(run_folder(root, suite.name, model, asked))
    manifest = run.manifest()
    fill = command(suite.name, model, asked)
    if manifest is None:
        raise MissingError(f"there is no run of {name!r}; make it: {fill}")
    if not is_current(catalog, asked.apply(suite), model, manifest, asked):
        raise MissingError(f"the run of {name!r} is of older code, another suite or other weights: {fill} --fresh")
    return Side(name, run, manifest)


def _refuse(one: Side, two: Side) -> None:
    """Raise `UsageError` unless both runs asked the same of the same images."""
    for key in SAME:
        mine, other = (side.manifest.get(key) for side in (one, two))
        if mine != other:
            raise UsageError(
                f"{one.name} and {two.name} are not of one protocol: {key} is {mine} there and {other} here."
            )
    mine, other = (side.manifest.get("code", {}).get("rbench") for side in (one, two))
    if mine != other:
        raise UsageError(f"{one.name} and {two.name} were evaluated by different code ({mine}, {other}); run one anew.")


def _difference(spec: ScoreSpec, sides: tuple[Side, Side]) -> Difference | None:
    """The difference by one score, None if a run lacks one of its probes."""
    evidence = [[side.run.outcomes(name) for name in spec.of] for side in sides]
    if any(outcomes is None for outcomes in (*evidence[0], *evidence[1])):
        return None
    measure = Measure(spec.name, spec.of, how=PAIRED[spec.use])  # type: ignore[arg-type]
    first, second = (image_errors([o for o in each if o is not None], measure) for each in evidence)
    samples = np.unique(_some(evidence[0]).sample)
    return _paired(spec.name, first, second, samples)


def _some(evidence: Sequence[Outcomes | None]) -> Outcomes:
    found = evidence[0]
    assert found is not None  # noqa: S101 - runs that lack a probe were left out
    return found


def _paired(score: str, first: FloatArray, second: FloatArray, samples: Any) -> Difference:
    gap = first - second
    whole = bool(np.isin(np.concatenate([first, second]), (0, 1)).all())
    table = Paired(int((gap < 0).sum()), int((gap > 0).sum()), len(gap)) if whole else None
    if table is not None:
        low, high = table.interval()  # of the share that the first gets right less the second's: errors turn it round
        interval = Interval(-high, -low)
    else:
        interval = clustered(gap, 1.0, -1.0)
    only = tuple(tuple(int(sample) for sample in samples[side]) for side in (gap < 0, gap > 0))
    return Difference(score, float(first.mean()), float(second.mean()), interval, len(gap), table, (only[0], only[1]))
