"""What a model's page shows of its evidence: accuracies by corruption and severity, confusions, security curves."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rbench.catalog import Catalog
from rbench.current import is_current
from rbench.errors import StoreError
from rbench.metrics import accuracy
from rbench.planner import Variant, run_folder
from rbench.report.cells import percent
from rbench.report.site.choice import corrupts
from rbench.report.site.found import Found, variant_of, words
from rbench.store import Run
from rbench.types import Outcomes, Suite

CURVE = re.compile(r"curve-(?P<variant>seed\d.*)-[0-9a-f]{8}")
SHADES = 5
MOST_CLASSES = 20  # larger tables of confusions are for no eye


@dataclass(frozen=True)
class Grid:
    """A table of numbers that are shaded by their size, from 0 to `SHADES`: a row a heading, a column a heading."""

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    n: int


@dataclass(frozen=True)
class CurvePoint:
    """A score at one eps, as the CSV of the curve has it; shares as percentages."""

    eps: str
    unbounded: bool
    score: str
    text: str
    interval: str
    n: int
    carried: int


@dataclass(frozen=True)
class CurveFound:
    """A security curve that `rbench eval --eps LIST` drew, and whose runs are all current."""

    suite: str
    words: str
    file: str
    picture: bytes
    points: tuple[CurvePoint, ...]


def severities(suite: Suite, run: Run) -> Grid | None:
    """The accuracy in % under each corruption (a row) and severity (a column), None if a suite has no such probes."""
    found = [(p.name, o) for p in suite.probes if corrupts(p) and (o := run.outcomes(p.name)) is not None]
    if not found:
        return None
    groups = sorted({int(group) for _, outcomes in found for group in outcomes.group})
    rows = tuple((name, tuple(_shade(_of_group(outcomes, group)) for group in groups)) for name, outcomes in found)
    return Grid("Corruption", tuple(map(str, groups)), rows, len(np.unique(found[0][1].sample)))


def confusion(suite: Suite, run: Run) -> Grid | None:
    """How many clean images of each label (a row) are taken for each class (a column); None where there are too many.

    Shades are shares of the label.
    """
    name = next((p.name for p in suite.probes if p.attack is None and p.data is None), None)
    outcomes = run.outcomes(name) if name is not None else None
    if outcomes is None:
        return None
    classes = int(max(outcomes.label.max(), outcomes.pred.max())) + 1
    if classes > MOST_CLASSES:
        return None
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (outcomes.label, outcomes.pred), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = tuple(
        (str(k), tuple((str(count), shade(share)) for count, share in zip(counts[k], shares[k], strict=True)))
        for k in range(classes)
    )
    return Grid("Label", tuple(map(str, range(classes))), rows, len(outcomes))


def curves(catalog: Catalog, found: Found, model: str) -> Iterator[CurveFound]:
    """The security curves of a model."""
    for suite in found.runs:
        for folder in sorted((found.root / suite / model).glob("curve-*")):
            match = CURVE.fullmatch(folder.name)
            variant = variant_of(match["variant"]) if match is not None else None
            if variant is None or not (folder / "curve.png").is_file():
                continue
            points = _points(folder / "curve.csv")
            eps = {point.eps for point in points} - {"0"}
            if all(_current(catalog, found, suite, model, replace(variant, eps=word)) for word in eps):
                name = re.sub(r"[^A-Za-z0-9]+", "-", f"{suite}-{model}-{folder.name}") + ".png"
                yield CurveFound(suite, words(variant), name, (folder / "curve.png").read_bytes(), points)


def shade(share: float) -> int:
    """The shade of a share in [0, 1]: 0 for none, `SHADES` for (nearly) all."""
    return min(SHADES, int(share * SHADES) + (share > 0))


def _of_group(outcomes: Outcomes, group: int) -> float | None:
    rows = outcomes.group == group
    if not rows.any():
        return None
    kept = {name: values[rows] for name, values in vars(outcomes).items() if len(values)}
    return accuracy([Outcomes(**kept)]).value


def _shade(share: float | None) -> tuple[str, int]:
    return ("", 0) if share is None else (percent(share), shade(share))


def _current(catalog: Catalog, found: Found, suite: str, model: str, variant: Variant) -> bool:
    """Whether a run is there and what an evaluation of today would give."""
    manifest = Run(run_folder(found.root, suite, model, variant)).manifest()
    spec = variant.apply(found.suites[suite])
    return manifest is not None and is_current(catalog, spec, model, manifest, variant)


def _points(path: Path) -> tuple[CurvePoint, ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                CurvePoint(
                    row["eps"],
                    row["unbounded"] == "True",
                    row["score"],
                    percent(float(row["value"])),
                    f"[{percent(float(row['low']))}, {percent(float(row['high']))}]",
                    int(row["n"]),
                    int(row["corrected"]),
                )
                for row in csv.DictReader(file)
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove {path.parent} and draw the curve again.") from error
