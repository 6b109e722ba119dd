"""What the scores of a suite compare with: published values, or a model that is run by the same suite."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

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


SAME = ("data", "views", "samples")  # of both manifests, or else other images would be compared


def baseline_of(
    catalog: Catalog, suite: Suite, root: Path, variant: Variant, manifest: Mapping[str, Any]
) -> Baseline | None:
    """The baseline of a suite for the run of a manifest; None if there is none, or no complete run of it.

    A run of the baseline counts only if it was made by today's code and of the very images of the other run.
    """
    if not suite.baseline:
        return None
    path = catalog.baseline(suite.baseline)
    if path is not None:
        return Baseline.from_toml(path)
    own = replace(variant, weights_file=None)
    run = Run(run_folder(root, suite.name, suite.baseline, own))
    theirs = run.manifest()
    if theirs is None or not is_current(catalog, suite, suite.baseline, theirs, own):
        return None
    if any(theirs[key] != manifest[key] for key in SAME):
        return None
    found = {probe.name: run.outcomes(probe.name) for probe in suite.probes}
    complete = {name: outcomes for name, outcomes in found.items() if outcomes is not None}
    if len(complete) < len(found):
        return None
    return Baseline.from_outcomes(suite.baseline, str(theirs["weights"]), complete, _against_first(suite))


def _against_first(suite: Suite) -> Collection[str]:
    """The probes whose frames the scores of a suite compare with the first one."""
    return {name for score in suite.scores for name in score.args.get("against_first", ())}
