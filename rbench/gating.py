"""The verb `gate`: has a score dropped below that of a baseline? Images are attacked until it is known.

Three stages, cheapest first. What one pass an image tells is asked of all: clean images, and the attacked ones that the
baseline keeps. Then images are drawn and attacked until a bet is decided. Where AutoAttack is part of a worst case and
the cheaper attacks do not prove a drop, it verifies some of the images that they leave.
"""

import os
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbench import snapshot
from rbench.api import runs_root
from rbench.cases import Case
from rbench.catalog import Catalog
from rbench.errors import AttackError, ModelError, UsageError
from rbench.evaluating import Means, Task, interruptible, task_of
from rbench.judging import Gated, Judge, together
from rbench.planner import Variant
from rbench.sampling import Sampler, one_by_one, sampler
from rbench.saving import REPLAY, baseline_path, once, replay_job, scored
from rbench.snapshot import Snapshot
from rbench.sources import data_source, dataset_of
from rbench.subject import subject_of
from rbench.survey import Survey, strata
from rbench.types import FloatArray, Outcomes
from rbench.verifying import full_of, verified

if TYPE_CHECKING:
    from torch import nn

BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME")  # of CI systems
CERTAIN = 0.02  # of the images that cheap attacks leave: those of least margin are verified for certain


def gate(
    name: str,
    *,
    model: "str | nn.Module | None" = None,
    weights: str | Path | None = None,
    baseline: str | Path | None = None,
    images: int | None = None,
    branch: str | None = None,
    batch: int | None = None,
    workers: int | None = 1,
    device: str | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> Gated:
    """Attack images in a random order until it is known of every score of a gate whether it dropped by more than delta.

    A wrong PASS has probability alpha at most, and so has a wrong FAIL of any score (Holm over scores), whenever it
    stops: see `rbench.cases`. It is about this very set of images and this seed. What goes wrong with the model is
    INCONCLUSIVE. `images` bounds how many are attacked. Raises `RbenchError`s for a gate or baseline that cannot serve.
    """
    catalog = catalog or Catalog.find()
    spec = catalog.gate(name)
    suite = catalog.suite(spec.suite)
    one_by_one(suite)
    scores = {each.name: scored(suite, each.name, name) for each in spec.scores}
    remedy = f"rbench baseline save {name}"
    held = snapshot.read(baseline_path(catalog, name, baseline), remedy)
    at = branch if branch is not None else next((os.environ[key] for key in BRANCHES if os.environ.get(key)), "")
    file = str(weights) if weights is not None else None
    variant = Variant(spec.seed, weights_file=file)
    with data_source(data_dir, download), interruptible():
        asked = variant.apply(suite)
        subject = subject_of(catalog, model if model is not None else spec.model, variant, asked)
        task = task_of(catalog, asked, subject, dataset_of(asked), variant, runs_root(None))
        snapshot.agree(held, task.manifest, {probe for score in scores.values() for probe in score.of}, remedy)
        most = min(x for x in (spec.budget, images, held.samples) if x is not None)
        if most < 1:
            raise UsageError(f"images = {most} must be at least 1.")
        cases = []
        for each in spec.scores:
            of, how = once(scores[each.name], held)
            before = snapshot.errors_of([held.errors[probe] for probe in of], how)
            cases.append(Case(each, of, how, before, spec.alpha, full_of(asked, scores[each.name])))
        judge = Judge(spec, cases, held)
        reason, passes = "", 0
        try:
            for cost in _stages(task, judge, most, Means(batch, workers, device, progress)):
                passes += cost
        except (ModelError, AttackError) as error:
            reason = str(error)
    verdicts = tuple(judge.verdicts())
    outcome = together(verdicts) if not reason else "INCONCLUSIVE"
    told = _notes(held, task)
    return Gated(
        spec, outcome, verdicts, judge.seen, held.samples, passes, subject.name, at, spec.undecided(at), reason, told
    )


def _stages(task: Task, judge: Judge, most: int, means: Means) -> Iterator[int]:
    """Ask until all is decided or `most` images are attacked; gives the passes of the attacks that it takes."""
    names = {probe for case in judge.cases for probe in case.of}
    jobs = [job for job in task.jobs if job.probe.name in names]
    if judge.held.images is not None:
        jobs.append(replay_job(jobs[0], task.suite, judge.held.images))
    with sampler(task, jobs, means, judge.gate.look) as ask:
        free = [job.probe.name for job in jobs if job.probe.name == REPLAY or not (job.probe.attack or job.probe.data)]
        known = {}
        for name in free:
            ask.begin(name, task.n)
            known[name] = _errors(ask.every(name), task.n)
        judge.know(known)
        ask.begin(judge.gate.name, most)
        yield from _drawn(ask, judge, most)
        for case in judge.open:
            if case.full is not None and not case.left.any():
                ask.begin(case.full, int((case.after == 0).sum()))
                yield from _verified(ask, judge, case, case.full)


def _drawn(ask: Sampler, judge: Judge, most: int) -> Iterator[int]:
    """Attack the images that are drawn, by all but the full attack."""
    while judge.seen < most and len(samples := judge.next(min(judge.gate.look, most - judge.seen))):
        found = ask.some(judge.probes, samples)
        margins = reduce(np.minimum, [each.margin.reshape(len(samples), -1).min(axis=1) for each in found.values()])
        judge.see(samples, {probe: _errors(outcomes, len(samples)) for probe, outcomes in found.items()}, margins)
        yield _cost(found)


def _verified(ask: Sampler, judge: Judge, case: Case, full: str) -> Iterator[int]:
    """Verify by the full attack the images whose baseline it fooled alone, those of least margin, and random others."""
    survivors = np.flatnonzero(case.after == 0)
    margins = case.margin[survivors]
    others = [judge.held.errors[probe][survivors] for probe in case.of if probe != full]
    alone = (judge.held.errors[full][survivors] > 0) & (snapshot.errors_of(others, "any") == 0)
    margins[alone] = -np.inf
    budget = judge.gate.verify or len(survivors)
    share = min(max(CERTAIN, float(alone.mean())), budget / len(survivors)) if len(survivors) else 0.0
    certain, rest = strata(survivors, margins, share, int(judge.held.pinned["evidence"][16:28], 16))
    start = Survey(len(case.before), len(survivors), alpha=case.alpha)
    case.take(start, survivors[:0])

    def enough(known: Survey) -> bool:
        return case not in judge.open or known.certain + known.drawn >= budget

    for known, outcomes in verified(ask, full, start, certain, rest, enough, judge.gate.look):
        case.take(known, outcomes.sample[~outcomes.correct])
        yield _cost({full: outcomes})


def _errors(outcomes: Outcomes, count: int) -> FloatArray:
    """The error of each of `count` images: the share of its rows that are wrong."""
    wrong = (~outcomes.correct).reshape(count, -1)
    return wrong.mean(axis=1)


def _cost(found: Mapping[str, Outcomes]) -> int:
    return sum(int(each.forwards.sum() + each.backwards.sum()) for each in found.values())


def _notes(held: Snapshot, task: Task) -> tuple[str, ...]:
    """What a reader must know besides: the baseline is of other code, or of these very weights."""
    notes = []
    if held.pinned["code"]["rbench"] != task.manifest["code"]["rbench"]:
        notes.append("the baseline was evaluated by other code of rbench: update it by `rbench gate --update`.")
    if held.pinned["weights"] == task.manifest["weights"]:
        notes.append("these are the weights of the baseline.")
    return tuple(notes)
