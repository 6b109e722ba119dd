"""Cross-checks: the same questions asked by the native attacks and by another package's."""

import math
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench import planner
from rbench.agreement import Agreement, Crosscheck, Stage, compare, stage
from rbench.api import evaluate, runs_root, variant_of
from rbench.away.engines import LOCAL
from rbench.catalog import Catalog
from rbench.errors import AttackError, UsageError
from rbench.evaluating import Means, task_of
from rbench.planner import Variant
from rbench.sources import data_source, dataset_of
from rbench.studies.pairs import PAIRS, Pair
from rbench.subject import subject_of
from rbench.types import Outcomes, Probe, Suite, Threat

if TYPE_CHECKING:
    from torch import nn

    from rbench.evaluating import Task

BLOCK = 50


def crosscheck(model: "str | nn.Module", suite: str, backend: str, **options: Any) -> tuple[Agreement, ...]:
    """Ask a suite's probes by the native attacks and by another package's, and compare them sample by sample.

    `backend` is "pyautoattack" or "torchattacks:NAME"; `options` are those of `evaluate`, of which `probes` narrows the
    comparison. Both sides are ordinary runs, so the same call resumes.
    """
    catalog = options.pop("catalog", None) or Catalog.find()
    asked = tuple(options.pop("probes", None) or ())
    spec = Variant(probes=asked, backend=backend).apply(catalog.suite(suite))
    names = [probe.name for probe in spec.probes if probe.attack is not None]
    theirs = evaluate(model, suite, backend=backend, probes=asked, catalog=catalog, **options)
    native = evaluate(model, suite, probes=names, catalog=catalog, **options)
    sides = native.evidence, theirs.evidence
    return tuple(compare(name, *(side[name] for side in sides)) for name in names)


def crosscheck_all(
    model: "str | nn.Module",
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    workers: int | None = None,
    device: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: bool = False,
    catalog: Catalog | None = None,
    pairs: tuple[Pair, ...] = PAIRS,
) -> Crosscheck:
    """Ask a model by pairs of a native attack and one of torchattacks, first as both are, then with causes taken away.

    The suite gives the data and, for attacks of a fixed eps, the L-inf ball; those of minimum norm get a ball that
    holds every image. Every side is a probe of an ordinary run, so that the same call resumes. Raises `MissingError`
    without the package, and `UsageError` for a suite without an L-inf threat.
    """
    variant = replace(variant_of(seed, limit, eps, None, backend="torchattacks:all"), backend=None)
    catalog = catalog or Catalog.find()
    spec = catalog.suite(suite)
    if spec.rules.norm != "linf":
        raise UsageError(f"suite {suite!r} is in {spec.rules.norm}; name one in linf, such as digits-linf.")
    spec = replace(spec, threat=Threat(spec.rules.norm, eps or spec.rules.eps))
    means, root = Means(None, workers, device, progress, LOCAL), runs_root(runs) / "crosschecks"
    stages: list[Stage] = []
    with data_source(data_dir, download=False):
        subject, dataset = subject_of(catalog, model, Variant(), spec), dataset_of(spec)
        far = math.ceil(math.sqrt(dataset.images(np.arange(1)).size))
        for pair in pairs:
            task = task_of(catalog, _suite(spec, pair, far), subject, dataset, variant, root)
            stages += _stages(pair, task, means)
    name = model if isinstance(model, str) else subject.name
    command = planner.command(suite, name, variant).replace("rbench eval", "rbench check")
    versions = {package: version(package) for package in ("torchattacks", "torch")}
    where = f"{subject.name}, {spec.dataset}, {spec.rules.norm} eps = {spec.rules.eps}"
    return Crosscheck(where, task.n, seed, f"{command} --backend torchattacks", versions, tuple(stages))


def _suite(spec: Suite, pair: Pair, far: int) -> Suite:
    """A suite of the clean images and, for each stage of a pair, of both sides; `far` is the diagonal of the box."""
    threat = Threat(pair.threat[0], str(max(int(pair.threat[1]), far))) if pair.threat else spec.rules
    probes = [Probe("clean", block=BLOCK)]
    for index, (_, native, theirs, block) in enumerate(pair.stages()):
        if _asked(pair, index) == index:
            probes.append(Probe(f"native-{index}", native, block=BLOCK))
        probes.append(Probe(f"theirs-{index}", theirs, block=block or BLOCK))
    unscored: dict[str, Any] = {"scores": (), "diagnose": False, "draws": 1, "baseline": ""}
    return replace(spec, name=f"{spec.name}-{pair.name}", threat=threat, probes=tuple(probes), **unscored)


def _asked(pair: Pair, index: int) -> int:
    """The first stage that asks the native side what stage `index` asks it: one answer serves both."""
    return [native for _, native, _, _ in pair.stages()].index([*pair.stages()][index][1])


def _stages(pair: Pair, task: "Task", means: Means) -> Iterator[Stage]:
    """A stage for each change that was made, run where it has not been; a side that breaks the rules ends the pair."""
    refused = ""
    try:
        task.complete(means)
    except AttackError as error:
        refused = str(error)
    clean = _outcomes(task, "clean")
    for index, (change, native, theirs, _) in enumerate(pair.stages()):
        ours, other = _outcomes(task, f"native-{_asked(pair, index)}"), _outcomes(task, f"theirs-{index}")
        if clean is None or ours is None or other is None:
            yield Stage(pair.title, change, (native, theirs), refused=refused)
            return
        yield stage(pair.title, change, (native, theirs), clean, ours, other, minimum=pair.threat is not None)


def _outcomes(task: "Task", probe: str) -> Outcomes | None:
    """The outcomes of a probe, None if it did not come to its end."""
    return task.run.outcomes(probe) if task.run.findings(probe) is not None else None
