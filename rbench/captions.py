"""What captions say of the numbers in a table: protocol, origin of the images, baselines, and versions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rbench.metrics.baseline import Baseline
from rbench.planner import Variant
from rbench.store import Run
from rbench.types import Suite

NORMS = {"linf": "L-inf", "l2": "L2"}


def protocol_of(suite: Suite, variant: Variant, total: int) -> str:
    """How the numbers of a suite came about, as one line of a caption."""
    n = total if variant.limit is None else min(variant.limit, total)
    count = f"n = {n}" if n == total else f"ONLY THE FIRST {n} OF {total} SAMPLES"
    count = count if total else "nothing run yet"
    threat = suite.threat
    ball = f" {NORMS[threat.norm]}, eps = {threat.eps}," if threat is not None else ""
    return f"{suite.name}@{suite.version}: {suite.dataset},{ball} {count}, seed {variant.seed}"


def origin_of(suite: Suite, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the images of a run's views come from, as a line of a caption; none where nothing is to be said."""
    views = list(manifest.get("views", {}).values())
    keys = dict.fromkeys(key for view in views for key in view if key not in ("digest", "corruption"))
    facts = [f"{key} = {', '.join(dict.fromkeys(str(view[key]) for view in views if key in view))}" for key in keys]
    return (f"{suite.name}: {'; '.join(facts)}",) if facts else ()


def compared_with(suite: Suite, baseline: Baseline | None) -> tuple[str, ...]:
    """What the relative scores of a suite compare with, as a line of a caption; none without a baseline."""
    return () if baseline is None else (f"{suite.name}: relative to {baseline.name} ({baseline.digest[:8]})",)


def attributed(origins: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines about the origin of numbers; one that does not hold for all models that have any names its own."""
    every = {model for models in origins.values() for model in models}
    return [line if set(models) == every else f"{line} ({', '.join(models)})" for line, models in origins.items()]


def versions_of(run: Run) -> Mapping[str, str]:
    """The versions that a run was made with, by package."""
    known = {"rbench": (run.manifest() or {}).get("rbench"), "torch": run.settings().get("torch")}
    return {package: str(version) for package, version in known.items() if version}


def versions_line(runs: Iterable[Mapping[str, str]]) -> list[str]:
    """The versions that runs were made with, as a line of a caption: each that occurs; nothing without runs."""
    found: dict[str, set[str]] = {}
    for versions in runs:
        for package, version in versions.items():
            found.setdefault(package, set()).add(version)
    said = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return [f"Made with {', '.join(said)}"] if said else []
