"""The verbs as functions: evaluate, plan, table, train, check, explain and load_model."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import backends, identity, planner, sheet
from rbench.assess import Assessment, assess
from rbench.catalog import Catalog, resolve
from rbench.codes import CODES, diagnostic
from rbench.errors import InterruptedRunError, UsageError
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant
from rbench.sources import data_source, dataset_of
from rbench.store import Run, set_aside
from rbench.subject import Subject, device_of, subject_of, undisturbed, workers_for
from rbench.types import Finding, Score, Suite, Verdict

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from rbench.bench import Source
    from rbench.training.run import TrainResult


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
        frames = [pd.DataFrame({"probe": p.name, **vars(run.outcomes(p.name))}) for p in self.suite.probes]
        return pd.concat(frames, ignore_index=True)


def evaluate(
    model: "str | nn.Module",
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    batch: int | None = None,
    workers: int | None = 1,
    device: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    fresh: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> Evaluation:
    """Evaluate a model by a suite, running only what the run folder lacks, and return its scores (shares in [0, 1]).

    `model` is a name in the catalog, "file.py:function" that builds one, or an `nn.Module` from images in [0, 1] to
    logits. `probes` asks only those of the suite; `backend` runs the attacks by another package ("pyautoattack",
    "torchattacks:PGD"). `workers` processes share the work on a CPU, None for one a core; a script that asks for more
    than one must guard its main part by `if __name__ == "__main__"`. Raises `RbenchError`s with the remedy.
    """
    from rbench.progress import progress_bar

    catalog = catalog or Catalog.find()
    variant = _variant(seed, limit, eps, weights, probes, backend)
    spec = variant.apply(catalog.suite(suite))
    for score in spec.scores:
        resolve(score.use)  # a misspelt metric must not wait for the attacks
    subject = subject_of(catalog, model, variant, spec)
    surrogates = identity.surrogates(catalog, spec)
    with data_source(data_dir, download):
        dataset = dataset_of(spec)
        n = len(dataset.labels) if limit is None else min(limit, len(dataset.labels))
        run = Run(planner.run_folder(runs_root(runs), spec.name, subject.name, variant))
        if fresh:
            set_aside(run.folder)
        manifest = identity.manifest(spec, subject, surrogates, dataset, n, seed)
        jobs = identity.jobs(spec, subject, surrogates, dataset, seed)
        with run.writing(manifest):
            todo = sum(len(planner.left(job, n, run.done(job))) for job in jobs)
            unmeasured = spec.diagnose and spec.draws == 1 and run.measurements() is None
            if unmeasured or any(run.findings(job.probe.name) is None for job in jobs):
                from rbench import engine, measure

                place = device_of(device, subject.module)
                source = _source(spec, subject, surrogates, dataset.digest, place)
                count = workers_for(workers, subject, place)
                with progress_bar(show=progress) as bar, _interruptible(), undisturbed(subject.module, place):
                    if unmeasured:
                        run.measured(measure.look(source, spec.rules, n, seed, bar))
                    engine.run(jobs, source, n, run, batch=batch, workers=count, progress=bar)
            found = assess(spec, run, sheet.claiming(subject.card, variant))
            run.judged(found.verdict, found.findings, diagnosed=found.diagnosed)
    done = _evaluation(spec, subject, run, variant, todo, len(dataset.labels), found)
    return replace(done, left_out=variant.left_out(catalog.suite(suite)))


def _source(suite: Suite, subject: Subject, surrogates: Mapping[str, Subject], digest: str, place: str) -> "Source":
    """Where every process that works gets models and data from."""
    from rbench.bench import Source

    loaders = {name: surrogate.load for name, surrogate in surrogates.items()}
    return Source(subject.load, partial(dataset_of, suite), digest, place, loaders, suite.draws)


def _evaluation(
    suite: Suite, subject: Subject, run: Run, variant: Variant, todo: int, total: int, found: Assessment
) -> Evaluation:
    scores = {name: score for name, score in found.scores.items() if score is not None}
    columns = tuple(Column(f"{suite.name}:{s.name}", s.title or s.name, s.higher_is_better) for s in suite.scores)
    cells = {(subject.name, f"{suite.name}:{name}"): Cell(score, total) for name, score in scores.items()}
    title = subject.card.title if subject.card is not None else subject.name
    protocol, rows = (sheet.protocol_of(suite, variant, total),), ((subject.name, title),)
    verdicts = {(subject.name, suite.name): found.shown} if found.shown is not None else {}
    page = Sheet(suite.name, suite.title, protocol, rows, columns, cells, verdicts)
    return Evaluation(suite, subject.name, scores, run.folder, page, todo, found.verdict, found.findings)


def plan(
    model: str,
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    catalog: Catalog | None = None,
) -> list[dict[str, Any]]:
    """What an evaluation would run: for each probe its attack, samples done, samples left and blocks left."""
    catalog = catalog or Catalog.find()
    variant = _variant(seed, limit, eps, weights, probes, backend)
    spec = variant.apply(catalog.suite(suite))
    subject = subject_of(catalog, model, variant, spec)
    with data_source(data_dir, download=False):
        dataset = dataset_of(spec)
    n = len(dataset.labels) if limit is None else min(limit, len(dataset.labels))
    run = Run(planner.run_folder(runs_root(runs), spec.name, subject.name, variant))
    rows = []
    for job in identity.jobs(spec, subject, identity.surrogates(catalog, spec), dataset, seed):
        left = planner.left(job, n, run.done(job))
        samples = sum(map(len, left))
        attack = job.probe.attack.use if job.probe.attack else "none"
        rows.append(
            {
                "probe": job.probe.name,
                "attack": attack,
                "done": planner.count(n, job.probe) - samples,
                "left": samples,
                "blocks": len(left),
            }
        )
    lost = variant.left_out(catalog.suite(suite))
    return rows + [{"probe": "-", "attack": f"left out: {line}", "done": 0, "left": 0, "blocks": 0} for line in lost]


def table(
    name: str,
    *,
    form: str = "terminal",
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    runs: str | Path | None = None,
    catalog: Catalog | None = None,
) -> str:
    """A table of the shelf, or all scores of a suite, rendered from the runs; never evaluates anything."""
    from rbench.report import render

    catalog = catalog or Catalog.find()
    spec = sheet.table_spec(catalog, name)
    options = ("--runs", str(runs)) if runs is not None else ()
    variant = replace(_variant(seed, limit, eps, None), options=options)
    return render(sheet.collect(catalog, spec, runs_root(runs), variant), form)


def train(
    name: str,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> "TrainResult":
    """Train the weights of a model by its card's recipe, resuming where it stopped; see `rbench.training.run`."""
    from rbench.training.run import run

    catalog = catalog or Catalog.find()
    folder = Path(out) if out is not None else runs_root(None) / "train"
    with data_source(data_dir, download), _interruptible():
        return run(catalog, name, seed=seed, out=folder, progress=progress)


def load_model(name: str, *, weights: str | Path | None = None, catalog: Catalog | None = None) -> "nn.Module":
    """A model of the catalog in eval mode: images in [0, 1], shape [B, C, H, W], to logits [B, K]."""
    return subject_of(catalog or Catalog.find(), name, _variant(0, None, None, weights), None).load()


def check(model: str | None = None, suite: str | None = None, *, catalog: Catalog | None = None) -> list[str]:
    """Check every file on the shelves, or how one model behaves under a suite; returns one line for each thing checked.

    Raises the first `RbenchError` found.
    """
    from rbench import checks

    catalog = catalog or Catalog.find()
    if model is None:
        return list(checks.shelves(catalog, runs_root(None)))
    if suite is None:
        raise UsageError("checking a model needs a suite too: rbench check --model NAME --suite NAME.")
    spec = catalog.suite(suite)
    subject = subject_of(catalog, model, Variant(), spec)
    return list(checks.observe(subject.load(), dataset_of(spec), spec))


def explain(code: str | None = None) -> str:
    """What a diagnostic such as RB114 computes, when it speaks, what that means and what to do; a list without a code.

    Raises `UsageError` with the nearest match for a code that does not exist.
    """
    if code is not None:
        return diagnostic(code).explanation()
    return "\n".join(f"{found.code}  {found.name:<16}  {found.threshold}" for found in CODES.values())


def runs_root(runs: str | Path | None) -> Path:
    """Where runs are kept: the folder named, $RBENCH_RUNS, or runs/ in the working directory."""
    return Path(runs if runs is not None else os.environ.get("RBENCH_RUNS", "runs"))


def _variant(
    seed: int,
    limit: int | None,
    eps: str | None,
    weights: str | Path | None,
    probes: Sequence[str] = (),
    backend: str | None = None,
) -> Variant:
    if limit is not None and limit < 1:
        raise UsageError(f"limit = {limit} must be at least 1.")
    if not 0 <= seed < 2**31:
        raise UsageError(f"seed = {seed} must lie in 0..2^31 - 1.")
    if backend is not None:
        backends.require(backend)
    file = str(weights) if weights is not None else None
    return Variant(seed, limit, eps, file, probes=tuple(dict.fromkeys(probes)), backend=backend)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; what is committed stays, and the same call resumes.") from None
