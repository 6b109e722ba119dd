"""The stored outcomes that a figure is made of; what is missing or stale is an error with the command that makes it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rbench.catalog import Catalog
from rbench.current import is_current
from rbench.errors import MissingError, unknown
from rbench.planner import Variant, command, run_folder, runs_option
from rbench.store import Run
from rbench.types import Outcomes, Suite


def stored(
    catalog: Catalog, root: Path, suite: Suite, models: Sequence[str], probes: Sequence[str], variant: Variant
) -> dict[str, dict[str, Outcomes]]:
    """The outcomes of each model and probe of a suite, as `variant` has it.

    Raises `UsageError` for a probe that the suite lacks, `MissingError` with the commands for runs that lack any.
    """
    known = [probe.name for probe in suite.probes]
    for name in probes:
        if name not in known:
            raise unknown("probe", name, known, f"suite {suite.name!r}")
    variant = replace(variant, options=runs_option(root))
    found: dict[str, dict[str, Outcomes]] = {}
    lacking = []
    for model in models:
        catalog.model(model)
        run = Run(run_folder(root, suite.name, model, variant))
        manifest = run.manifest()
        stale = manifest is not None and not is_current(catalog, variant.apply(suite), model, manifest, variant)
        outcomes = {} if stale else {name: run.outcomes(name) for name in probes}
        found[model] = {name: kept for name, kept in outcomes.items() if kept is not None}
        if len(found[model]) < len(probes):
            lacking.append(command(suite.name, model, variant) + (" --fresh" if stale else ""))
    if lacking:
        raise MissingError("nothing is drawn of half the runs; make what is missing:\n" + "\n".join(lacking))
    return found
