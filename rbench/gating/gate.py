"""The verb `gate`: has a score dropped below that of a baseline? Images are attacked until it is known.

Three stages, cheapest first. What one pass an image tells is asked of all: clean images, and the attacked ones that the
baseline keeps. Then images are drawn and attacked until a bet is decided. Where AutoAttack is part of a worst case and
the cheaper attacks do not prove a drop, it verifies some of the images that they leave.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbench.api import runs_root, variant_of
from rbench.catalog import Catalog
from rbench.errors import AttackError, ModelError, UsageError
from rbench.evaluating import Means, Task, interruptible, task_of
from rbench.gates import GateScore
from rbench.gating import snapshot
from rbench.gating.cases import Case
from rbench.gating.judging import Gated, Judge, together
from rbench.gating.saving import REPLAY, baseline_path, replay_job, scored
from rbench.gating.snapshot import Snapshot
from rbench.gating.verified import VerifiedCase
from rbench.gating.verifying import full_of, verified
from rbench.pairing import PAIRED
from rbench.sampling import Sampler, one_by_one, sampler
from rbench.sources import data_source, dataset_of
from rbench.statistics.survey import Survey, strata
from rbench.subject import subject_of
from rbench.types import FloatArray, Outcomes, ScoreSpec, Suite

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
    batch: int | str | None = None,
    workers: int | None = 1,
    device: str | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> Gated:
    """Attack images in a random order until it is known of every score of a gate whether it dropped by more than delta.

    A wrong PASS has probability alpha at most, and so has a wrong FAIL of any score (Holm over scores), whenever it
    stops: see `rbench.gating.cases`. It is about this very set of images and this seed. What goes wrong with the model
    is INCONCLUSIVE. `images` bounds how many are attacked. Raises `RbenchError`s for a gate or baseline that cannot
    serve.
    """
    catalog = catalog or Catalog.find()
    spec = catalog.gate(name)
    suite = catalog.suite(spec.suite)
    scores = {each.name: scored(suite, each.name, name) for each in spec.scores}
    needed = {probe for score in scores.values() for probe in score.of}
    one_by_one(suite, needed)
    remedy = f"rbench baseline save {name}"
    held = snapshot.read(baseline_path(catalog, name, baseline), remedy)
    at = branch if branch is not None else next((os.environ[key] for key in BRANCHES if os.environ.get(key)), "")
    variant = variant_of(spec.seed, None, None, weights)
    with data_source(data_dir, download), interruptible("a gate keeps nothing", kept=False):
        asked = variant.apply(suite)
        subject = subject_of(catalog, model if model is not None else spec.model, variant, asked)
        task = task_of(catalog, asked, subject, dataset_of(asked), variant, runs_root(None))
        snapshot.agree(held, task.manifest, needed, remedy)
        most = min(x for x in (spec.budget, images, held.samples) if x is not None)
        if most < 1:
            raise UsageError(f"images = {most} must be at least 1.")
        cases = [_case(each, scores[each.name], asked, held, spec.alpha) for each in spec.scores]
        judge = Judge(spec, cases, held)
        reason, passes = "", 0
        try:
            for cost in _stages(task, judge, most, Means(batch, workers, device, progress)):
                passes += cost
        except (ModelError, AttackError) as error:
            reason = str(error)
    verdicts = tuple(judge.verdicts())
    outcome = together(verdicts)
    if reason and outcome == "PASS":  # a failure that was proven before stays one
        outcome = "INCONCLUSIVE"
    told = ("these are the weights of the baseline.",) if held.pinned["weights"] == task.manifest["weights"] else ()
    return Gated(
        spec, outcome, verdicts, judge.seen, held.samples, passes, subject.name, at, spec.undecided(at), reason, told
    )


def _case(score: GateScore, spec: ScoreSpec, suite: Suite, held: Snapshot, alpha: float) -> Case:
    """A score with the baseline's errors; images that were kept of it are one more attack."""
    shown = spec.name == held.pinned["images"]["of"]
    of, how = ((*spec.of, REPLAY), "any") if shown else (spec.of, PAIRED[spec.use])
    before = snapshot.errors_of([held.errors[probe] for probe in of], how)
    full = full_of(suite, spec)
    return VerifiedCase(score, of, how, before, alpha, full) if full else Case(score, of, how, before, alpha)


def _stages(task: Task, judge: Judge, most: int, means: Means) -> Iterator[int]:
    """Ask until all is decided or `most` images are attacked; gives the passes of the attacks that it takes."""
    names = {probe for case in judge.cases for probe in case.of}
    jobs = [job for job in task.jobs if job.probe.name in names]
    free = [job.probe.name for job in jobs if job.probe.attack is None and job.probe.data is None]
    if judge.held.images is not None:
        jobs.append(replay_job(jobs[0], task.suite, judge.held.images))
        free.append(REPLAY)
    with sampler(task, jobs, means, judge.gate.look) as ask:
        known = {}
        for name in free:
            ask.begin(name, task.n)
            known[name] = _errors(ask.every(name), task.n)
        judge.know(known)
        ask.begin(judge.gate.name, most)
        yield from _drawn(ask, judge, most)
        for case in judge.cases:
            if isinstance(case, VerifiedCase) and case in judge.open and not case.left.any():
                ask.begin(case.full, int((case.after == 0).sum()))
                yield from _verified(ask, judge, case)


def _drawn(ask: Sampler, judge: Judge, most: int) -> Iterator[int]:
    """Attack the images that are drawn, by all but the full attack."""
    while judge.seen < most and len(samples := judge.next(min(judge.gate.look, most - judge.seen))):
        found = ask.some(judge.probes, samples)
        margins = {probe: each.margin.reshape(len(samples), -1).min(axis=1) for probe, each in found.items()}
        judge.see(samples, {probe: _errors(each, len(samples)) for probe, each in found.items()}, margins)
        yield _cost(found)


def _verified(ask: Sampler, judge: Judge, case: VerifiedCase) -> Iterator[int]:
    """Verify by the full attack the images whose baseline it fooled alone, those of least margin, and random others."""
    survivors = np.flatnonzero(case.after == 0)
    margins = case.margin[survivors]
    others = snapshot.errors_of([judge.held.errors[probe][survivors] for probe in case.parts], "any")
    alone = (judge.held.errors[case.full][survivors] > 0) & (others == 0)
    margins[alone] = -np.inf
    count = max(math.ceil(CERTAIN * len(survivors)), int(alone.sum()))
    chosen = strata(survivors, margins, count, int(judge.held.pinned["evidence"][16:28], 16))
    start = Survey(len(case.before), len(survivors), alpha=case.alpha)
    case.take(start, survivors[:0], survivors[:0])
    budget = judge.gate.verify

    def enough(_: Survey) -> bool:
        return case not in judge.open

    for known, outcomes in verified(ask, case.full, start, chosen, enough, judge.gate.look, budget):
        case.take(known, outcomes.sample, outcomes.sample[~outcomes.correct])
        yield _cost({case.full: outcomes})


def _errors(outcomes: Outcomes, count: int) -> FloatArray:
    """The error of each of `count` images: the share of its rows that are wrong."""
    wrong = (~outcomes.correct).reshape(count, -1)
    return wrong.mean(axis=1)


def _cost(found: Mapping[str, Outcomes]) -> int:
    return sum(int(each.forwards.sum() + each.backwards.sum()) for each in found.values())
