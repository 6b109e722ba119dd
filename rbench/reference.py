"""What the scores of a suite compare with: published values, or a model that is run by the same suite."""

from collections.abc import Collection
from dataclasses import replace
from inspect import signature
from pathlib import Path

from rbench.catalog import Catalog, resolve
from rbench.current import is_current
from rbench.metrics.baseline import Baseline
from rbench.planner import Variant, run_folder
from rbench.store import Run
from rbench.types import Suite


def model_to_run(catalog: Catalog, suite: Suite) -> str | None:
    """The model that has to be run by the suite too, because a score compares with it; None if there is none."""
    compared = any("baseline" in signature(resolve(score.use)).parameters for score in suite.scores)
    return suite.baseline if compared and suite.baseline and catalog.baseline(suite.baseline) is None else None


def baseline_of(catalog: Catalog, suite: Suite, root: Path, variant: Variant) -> Baseline | None:
    """The baseline of a suite as `variant` has it, or None if it has none or its run is not complete."""
    if not suite.baseline:
        return None
    path = catalog.baseline(suite.baseline)
    if path is not None:
        return Baseline.from_toml(path)
    own = replace(variant, weights_file=None)
    run = Run(run_folder(root, suite.name, suite.baseline, own))
    if not is_usable(catalog, suite, run, own):
        return None
    found = {probe.name: run.outcomes(probe.name) for probe in suite.probes}
    complete = {name: outcomes for name, outcomes in found.items() if outcomes is not None}
    if len(complete) < len(found):
        return None
    weights = str((run.manifest() or {})["weights"])
    return Baseline.from_outcomes(suite.baseline, weights, complete, _against_first(suite))


def is_usable(catalog: Catalog, suite: Suite, run: Run, variant: Variant) -> bool:
    """Whether the run of a suite's baseline was made with today's suite, code and weights."""
    manifest = run.manifest()
    return manifest is not None and is_current(catalog, suite, suite.baseline, manifest, variant)


def _against_first(suite: Suite) -> Collection[str]:
    """The probes whose frames the scores of a suite compare with the first one."""
    return {name for score in suite.scores for name in score.args.get("against_first", ())}
