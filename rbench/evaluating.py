"""One evaluation: what a run folder lacks is run, and what is found is put on a page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rbench import identity, planner, sheet, sources
from rbench.assess import Assessment
from rbench.datasets import Dataset
from rbench.errors import InterruptedRunError
from rbench.metrics.baseline import Baseline
from rbench.pages import Cell, Sheet
from rbench.planner import Variant
from rbench.store import Run
from rbench.subject import Subject, device_of, undisturbed, workers_for
from rbench.types import Finding, Outcomes, Score, Suite, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from rbench.bench import Source


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
    left_out: tuple[str, ...] = ()  # what the backend has no counterpart of

    @property
    def where(self) -> str:
        """Where the evidence lies, as part of a sentence."""
        return f"evidence in {self.folder}"

    @property
    def samples(self) -> "pd.DataFrame":
        """The evidence: a row for each probe and sample."""
        import pandas as pd

        run = Run(self.folder)
        frames = [_frame(p.name, run.outcomes(p.name)) for p in self.suite.probes]
        return pd.concat(frames, ignore_index=True)


def _frame(probe: str, outcomes: Outcomes | None) -> "pd.DataFrame":
    """The evidence of one probe; the top classes of sequences are lists."""
    import pandas as pd

    columns = {name: list(value) if value.ndim > 1 else value for name, value in vars(outcomes).items() if len(value)}
    return pd.DataFrame({"probe": probe, **columns})


@dataclass(frozen=True)
class Means:
    """With what an evaluation is run, none of which decides what comes out."""

    batch: int | None
    workers: int | None
    device: str | None
    progress: bool


def run_lacking(
    suite: Suite,
    subject: Subject,
    surrogates: Mapping[str, Subject],
    dataset: Dataset,
    variant: Variant,
    run: Run,
    means: Means,
) -> int:
    """Run what a run folder lacks of an evaluation; returns the number of blocks that it lacked."""
    from rbench.progress import progress_bar

    n = len(dataset.labels) if variant.limit is None else min(variant.limit, len(dataset.labels))
    views = sources.views_of(suite, variant.seed, dataset)
    jobs = identity.jobs(suite, subject, surrogates, dataset, views, variant.seed)
    with run.writing(identity.manifest(suite, subject, surrogates, dataset, views, n, variant.seed)):
        todo = sum(len(planner.left(job, n, run.done(job))) for job in jobs)
        unmeasured = suite.diagnose and suite.draws == 1 and run.measurements() is None
        if unmeasured or any(run.findings(job.probe.name) is None for job in jobs):
            from rbench import engine, measure

            place = device_of(means.device, subject.module)
            source = _source(suite, subject, surrogates, dataset.digest, variant.seed, place)
            count = workers_for(means.workers, subject, place)
            with progress_bar(show=means.progress) as bar, interruptible(), undisturbed(subject.module, place):
                if unmeasured:
                    run.measured(measure.look(source, suite.rules, n, variant.seed, bar))
                engine.run(jobs, source, n, run, batch=means.batch, workers=count, progress=bar)
    return todo


def _source(
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
    protocol = (sheet.protocol_of(suite, variant, total), *sheet.origin_of(suite, run.manifest() or {}, baseline))
    rows = ((subject.name, title),)
    verdicts = {(subject.name, suite.name): found.shown} if found.shown is not None else {}
    page = Sheet(suite.name, suite.title, protocol, rows, columns, cells, verdicts)
    return Evaluation(suite, subject.name, scores, run.folder, page, todo, found.verdict, found.findings)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into the error that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; what is committed stays, and the same call resumes.") from None
