"""The verb `eval --precision`: the expensive attack on as few images as a precision asks for."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.api import evaluate, runs_root, variant_of
from rbench.away.engines import Engine
from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.evaluating import Evaluation, Means, interruptible, task_of
from rbench.gating.verifying import full_of, verified
from rbench.sampling import one_by_one, sampler
from rbench.sources import data_source, dataset_of
from rbench.statistics.survey import Survey, strata, text
from rbench.subject import subject_of
from rbench.types import ScoreSpec, Suite

if TYPE_CHECKING:
    from torch import nn

CERTAIN, LOOK = 0.1, 25


@dataclass(frozen=True)
class Surveyed:
    """An evaluation by the cheap probes, what is known of robust accuracy under all, and AutoAttack's passes."""

    evaluation: Evaluation
    survey: Survey
    score: ScoreSpec
    passes: int

    @property
    def text(self) -> str:
        """Both ends of the robust accuracy, how they are known, and what that cost."""
        return text(self.survey, self.score.title or self.score.name, "AutoAttack", self.passes)


def survey(
    model: "str | nn.Module",
    suite: str,
    precision: float,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    batch: int | str | None = None,
    workers: int | None = 1,
    device: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
    **options: Any,
) -> Surveyed:
    """Bound the robust accuracy under a suite's AutoAttack and all its cheaper attacks to `precision` points.

    The cheaper probes are run on all images, as an ordinary evaluation; AutoAttack on the survivors of least margin,
    and on random ones of the others until both ends are that close or none is left, which is the full protocol. Raises
    `UsageError` for a precision out of (0, 100), or a suite without a worst case that AutoAttack is part of.
    """
    if not 0 < precision < 100:
        raise UsageError(f"precision = {precision} must lie between 0 and 100 points.")
    catalog = catalog or Catalog.find()
    spec = catalog.suite(suite)
    one_by_one(spec)
    score, full = _full(spec)
    cheap = tuple(name for name in score.of if name != full)
    engine = Engine(options.get("engine", "local"), options.get("address"), options.get("gpus"))
    means = Means(batch, workers, device, progress, engine)
    variant = variant_of(seed, limit, eps, weights)
    names = tuple(each.name for each in spec.scores if full not in each.of)
    alone = {probe for each in spec.scores if each.name in names for probe in each.of}
    if lacking := [name for name in cheap if name not in alone]:
        raise UsageError(f"probe {lacking[0]!r} of suite {suite!r} has no score without AutoAttack; give it one.")
    done = evaluate(
        model, suite, limit=limit, seed=seed, eps=eps, weights=weights, scores=names, batch=batch, workers=workers,
        device=device, runs=runs, data_dir=data_dir, download=download, progress=progress, catalog=catalog, **options,
    )  # fmt: skip
    evidence = done.evidence
    if len({len(evidence[name]) for name in cheap}) > 1:
        raise UsageError(f"the probes of score {score.name!r} do not all ask every image once; name another suite.")
    stands = np.logical_and.reduce([evidence[name].correct for name in cheap])
    survivors = evidence[cheap[-1]].sample[stands]
    count = math.ceil(CERTAIN * len(survivors))
    certain, rest = strata(survivors, evidence[cheap[-1]].margin[stands], count, _order(done))
    found, passes = Survey(len(stands), len(survivors)), 0

    def close(known: Survey) -> bool:
        return known.width <= precision / 100

    if full in evidence:  # it was run on all
        fell = int((stands & ~evidence[full].correct).sum())
        found = replace(found, certain=len(survivors), certain_flips=fell)
    elif len(survivors):
        with data_source(data_dir, download), interruptible():
            asked = variant.apply(spec)
            subject = subject_of(catalog, model, variant, asked)
            task = task_of(catalog, asked, subject, dataset_of(asked), variant, runs_root(runs))
            jobs = [job for job in replace(task, scores=(score.name,)).jobs if job.probe.name == full]
            with sampler(task, jobs, means, LOOK) as ask:
                ask.begin("AutoAttack", len(survivors))
                for now, seen in verified(ask, full, found, (certain, rest), close, LOOK):
                    found = now
                    passes += int(seen.forwards.sum() + seen.backwards.sum())
    return Surveyed(done, found, score, passes)


def _full(suite: Suite) -> tuple[ScoreSpec, str]:
    """The worst case that AutoAttack is part of, and the name of AutoAttack's probe."""
    for score in suite.scores:
        if (full := full_of(suite, score)) is not None:
            return score, full
    raise UsageError(
        f"--precision needs a score by `worst_case` with AutoAttack among others; suite {suite.name!r} has none."
    )


def _order(done: Evaluation) -> int:
    """The seed of the random order: fixed by what is evaluated, before AutoAttack has seen anything."""
    from rbench.files import digest_of

    return int(digest_of([done.suite.name, done.model, done.folder.name])[:12], 16)
