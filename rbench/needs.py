"""What a table needs: the runs that its cells come from, and what these cost by the runs that are there."""

from collections.abc import Mapping
from pathlib import Path

from rbench.catalog import Catalog
from rbench.current import identity
from rbench.places import placed
from rbench.store import Run
from rbench.tables import TableSpec
from rbench.types import Suite


def needs(catalog: Catalog, spec: TableSpec) -> dict[tuple[str, str], tuple[str, ...]]:
    """The scores that a table shows of each run, by its suite and model, in the order of its cells.

    Raises `UsageError` for a suite, score or model that is not there, with the nearest match.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for place in placed(catalog, spec).values():
        if place.suite:
            found.setdefault((place.suite, place.model), {})[place.score] = None
    return {run: tuple(scores) for run, scores in found.items()}


def passes(root: Path, suite: Suite) -> Mapping[str, float]:
    """Passes through the model that each attack of a suite took an image, on average over the runs under `root`.

    Attacks that no run of this very suite is complete for are left out.
    """
    folders = [path for path in sorted((root / suite.name).glob("*/*")) if path.is_dir() and ".old-" not in path.name]
    runs = [run for run in map(Run, folders) if (run.manifest() or {}).get("suite") == identity(suite)]
    found = {}
    for probe in suite.probes:
        outcomes = [each for run in runs if probe.attack and (each := run.outcomes(probe.name)) is not None]
        if outcomes:
            total = sum(int(each.forwards.sum() + each.backwards.sum()) for each in outcomes)
            found[probe.name] = total / sum(map(len, outcomes))
    return found
