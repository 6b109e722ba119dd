"""One evaluation: what a run folder lacks is run, and what is found is put on a page."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import captions, identity, planner, reference, sheet, sources
from rbench.away.engines import LOCAL, Engine
from rbench.catalog import Catalog
from rbench.costs.paper import cost
from rbench.costs.passes import Passes
from rbench.datasets import Dataset, View
from rbench.doubt.assess import Assessment
from rbench.doubt.probing import needed
from rbench.errors import InterruptedRunError, UsageError
from rbench.fitting import auto, batch_of, sparing
from rbench.metrics.baseline import Baseline
from rbench.pages import Cell, Sheet
from rbench.planner import Variant
from rbench.progress import Share, Teller
from rbench.store import Run
from rbench.subject import Subject, device_of, subject_of, undisturbed, workers_for
from rbench.tidy import evidence_of
from rbench.types import Finding, Job, Outcomes, Score, Suite, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from rbench.bench import Source


UNKNOWN = 100  # passes, forwards and backwards, of an attack of which nobody says how many: for the time left only


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: its scores by name, its verdict, its sheet and the folder that holds the evidence."""

    suite: Suite
    model: str
    scores: Mapping[str, Score]
    folder: Path
    sheet: Sheet
    fresh_blocks: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...] = ()  # data that are missing, and what the backend has no counterpart of

    @property
    def where(self) -> str:
        """Where the evidence lies, as part of a sentence."""
        return f"evidence in {self.folder}"

    @property
    def samples(self) -> "pd.DataFrame":
        """The evidence: a row for each probe and sample."""
        import pandas as pd

        frames = [evidence_of(probe, outcomes) for probe, outcomes in self.evidence.items()]
        return pd.concat(frames, ignore_index=True)

    @property
    def evidence(self) -> dict[str, Outcomes]:
        """The outcomes of every probe that was asked."""
        run = Run(self.folder)
        return {p.name: found for p in self.suite.probes if (found := run.outcomes(p.name)) is not None}


@dataclass(frozen=True)
class Means:
    """With what an evaluation is run, none of which decides what comes out."""

    batch: int | str | None
    workers: int | None
    device: str | None
    progress: bool
    engine: Engine = LOCAL

    def __post_init__(self) -> None:
        batch_of(self.batch)

    def workers_on(self, subject: Subject, place: str) -> int:
        """The workers that share the work on a subject: processes of this machine, or those of a cluster."""
        if not self.engine.away:
            return workers_for(self.workers, subject, place)
        if subject.module is not None:
            raise UsageError("a module lives in this process; name a model, or a file.py:function, with --engine ray.")
        return self.engine.workers(self.workers, place)

    def batch_for(self, run: Run, source: "Source", n: int, workers: int, bar: Teller) -> int | None:
        """The size of batches: the one named or, for `auto`, what a run began with, else what is measured now."""
        size = batch_of(self.batch)
        if size != "auto":
            return size
        begun: int | None = run.settings().get("batch")
        if begun is None and source.device.startswith("cuda") and self._crowded(workers):
            raise UsageError(
                "--batch auto measures a GPU that one worker has for itself; name a number where several share it."
            )
        return begun or auto(source, n, workers, bar)

    def _crowded(self, workers: int) -> bool:
        """Whether several workers share a GPU."""
        from rbench.workers import Spread

        if self.engine.away:
            return (self.engine.gpus or 1.0) < 1
        return workers > 1 and not isinstance(workers, Spread)


@dataclass(frozen=True)
class Task:
    """One model on one suite: all that decides what comes out, and the folder that it is kept in.

    If `scores` are named, only the probes that they need are run; the folder is that of the whole suite all the same.
    """

    suite: Suite
    subject: Subject
    surrogates: Mapping[str, Subject]
    dataset: Dataset
    views: Mapping[str, View]
    variant: Variant
    run: Run
    scores: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of samples."""
        whole = len(self.dataset.labels)
        return whole if self.variant.limit is None else min(self.variant.limit, whole)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """One job a probe that has to be run."""
        parts = self.suite, self.subject, self.surrogates, self.dataset, self.views
        asked = needed(self.suite, self.scores)
        return tuple(job for job in identity.jobs(*parts, self.variant.seed) if job.probe.name in asked)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run folder is pinned to."""
        parts = self.suite, self.subject, self.surrogates, self.dataset, self.views
        return identity.manifest(*parts, self.n, self.variant.seed)

    @property
    def settled(self) -> bool:
        """Whether the folder holds all of this very evaluation."""
        return self.run.agrees(self.manifest) and all(self.run.findings(j.probe.name) is not None for j in self.jobs)

    @property
    def stale(self) -> bool:
        """Whether the folder holds another evaluation: by an older suite, older code or other weights."""
        return self.run.manifest() is not None and not self.run.agrees(self.manifest)

    def left(self) -> dict[str, list[range]]:
        """The blocks of each probe that the folder lacks."""
        return {job.probe.name: planner.left(job, self.n, self.run.done(job)) for job in self.jobs}

    def shares(self) -> dict[str, Share]:
        """What each probe that has to be run asks of all that is left; passes are bounds, of those not known a few."""
        todo = self.left()
        found = {}
        for probe in (job.probe for job in self.jobs):
            price = cost(probe, self.dataset.classes, draws=self.suite.draws, view=self.views.get(probe.name))
            attack = price.attack or Passes(UNKNOWN, UNKNOWN)
            forwards = attack.forwards or price.judging
            samples = sum(map(len, todo[probe.name]))
            found[probe.name] = Share(samples, forwards, attack.forwards + attack.backwards + price.judging)
        return found

    def complete(self, means: Means) -> int:
        """Run what the folder lacks; returns the number of blocks that it lacked."""
        from rbench.progress import progress_bar

        suite, seed = self.suite, self.variant.seed
        with self.run.writing(self.manifest):
            todo = sum(map(len, self.left().values()))
            jobs = self.jobs
            attacks = any(job.probe.attack is not None for job in jobs)
            unmeasured = attacks and suite.diagnose and suite.draws == 1 and self.run.measurements() is None
            if unmeasured or any(self.run.findings(job.probe.name) is None for job in jobs):
                from rbench import engine, measure
                from rbench.classes import of_its_classes

                module = self.subject.module
                place = device_of(means.device, module)
                source = source_of(suite, self.subject, self.surrogates, self.dataset.digest, seed, place)
                count = means.workers_on(self.subject, place)
                with (
                    progress_bar(show=means.progress, whole=self.shares()) as bar,
                    interruptible(),
                    undisturbed(module, place),
                    of_its_classes(self.subject, suite, self.dataset),
                ):
                    if unmeasured:
                        sparing(lambda x: self.run.measured(measure.look(x, suite.rules, self.n, seed, bar)), source)
                    batch = means.batch_for(self.run, source, self.n, count, bar)
                    go = partial(engine.run, jobs, n=self.n, store=self.run, batch=batch, workers=count, progress=bar)
                    sparing(go, source)
        return todo


def task_of(catalog: Catalog, suite: Suite, subject: Subject, dataset: Dataset, variant: Variant, root: Path) -> Task:
    """The task that an evaluation is; `suite` is as `variant` has it. Raises `RbenchError`s for what is missing."""
    views = sources.views_of(suite, variant.seed, dataset)
    run = Run(planner.run_folder(root, suite.name, subject.name, variant))
    return Task(suite, subject, identity.surrogates(catalog, suite), dataset, views, variant, run)


def tasks_of(
    catalog: Catalog,
    suite: Suite,
    subject: Subject,
    dataset: Dataset,
    variant: Variant,
    root: Path,
    scores: Sequence[str] = (),
) -> list[Task]:
    """The task of an evaluation; before it, if its scores compare with another model, that of this model.

    If `scores` are named, only what they need is asked; but what others are compared with is run as a whole.
    """
    task = replace(task_of(catalog, suite, subject, dataset, variant, root), scores=tuple(scores))
    shown = tuple(score for score in suite.scores if not scores or score.name in scores)
    other = reference.model_to_run(catalog, replace(suite, scores=shown))
    if other is None:
        return [task]
    if other == subject.name and variant.weights_file is None:
        return [replace(task, scores=())]
    own = replace(variant, weights_file=None)
    return [task_of(catalog, suite, subject_of(catalog, other, own, suite), dataset, own, root), task]


def source_of(
    suite: Suite, subject: Subject, surrogates: Mapping[str, Subject], digest: str, seed: int, place: str
) -> "Source":
    """Where every process that works gets models and data from."""
    from rbench.bench import Source

    loaders = {name: surrogate.load for name, surrogate in surrogates.items()}
    view = partial(sources.view_of, seed)
    return Source(subject.load, partial(sources.dataset_of, suite), digest, place, loaders, suite.draws, view)


def concluded(
    suite: Suite,
    subject: Subject,
    run: Run,
    variant: Variant,
    todo: int,
    total: int,
    found: Assessment,
    baseline: Baseline | None,
) -> Evaluation:
    """A finished evaluation with its sheet of one row; `todo` blocks were run now, `total` counts all samples."""
    columns = tuple(sheet.column_of(suite, spec) for spec in suite.scores)
    cells = {
        (subject.name, f"{suite.name}:{name}"): Cell(score, total, undefined=found.undefined.get(name, ""))
        for name, score in found.scores.items()
    }
    scores = {name: score for name, score in found.scores.items() if score is not None}
    title = subject.card.title if subject.card is not None else subject.name
    protocol = (
        captions.protocol_of(suite, variant, total),
        *captions.origin_of(suite, run.manifest() or {}),
        *captions.compared_with(suite, baseline),
        *captions.versions_line([captions.versions_of(run)]),
    )
    rows = ((subject.name, title),)
    verdicts = {(subject.name, suite.name): found.shown} if found.shown is not None else {}
    page = Sheet(suite.name, suite.title, protocol, rows, columns, cells, verdicts)
    return Evaluation(suite, subject.name, scores, run.folder, page, todo, found.verdict, found.findings)


@contextmanager
def interruptible(
    told: str = "what is committed stays, and the same call resumes", *, kept: bool = True
) -> Iterator[None]:
    """Turn Ctrl-C into the error that says how to go on; `kept` says whether anything is."""
    try:
        yield
    except KeyboardInterrupt:
        error = InterruptedRunError(f"interrupted; {told}.")
        error.kept = kept
        raise error from None
