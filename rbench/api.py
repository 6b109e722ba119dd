"""The verbs as functions: evaluate, table, frames, card, train, check, explain and load_model."""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import backends, reference, sheet, sources, trackers
from rbench.away.engines import Engine
from rbench.catalog import Catalog, resolve
from rbench.doubt.assess import assess
from rbench.doubt.codes import CODES, diagnostic
from rbench.errors import UsageError, unknown
from rbench.evaluating import Evaluation, Means, Task, concluded, interruptible, tasks_of
from rbench.planner import Variant
from rbench.sources import data_source, dataset_of
from rbench.store import set_aside
from rbench.subject import subject_of
from rbench.tidy import Frames

if TYPE_CHECKING:
    from torch import nn

    from rbench.training.dry import Estimate
    from rbench.training.history import TrainResult


def evaluate(
    model: "str | nn.Module",
    suite: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    weights: str | Path | None = None,
    probes: Sequence[str] = (),
    scores: Sequence[str] = (),
    backend: str | None = None,
    batch: int | str | None = None,
    workers: int | None = 1,
    device: str | None = None,
    engine: str = "local",
    address: str | None = None,
    gpus: float | None = None,
    runs: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    fresh: bool = False,
    allow_partial: bool = False,
    track: Sequence[str] = (),
    progress: bool = False,
    catalog: Catalog | None = None,
) -> Evaluation:
    """Evaluate a model by a suite, running only what the run folder lacks, and return its scores (shares in [0, 1]).

    `model` is a name in the catalog, one of a collection (`rbench.hubs`), "file.py:function" that builds one, or an
    `nn.Module` from images in [0, 1] to logits. `probes` asks only those of the suite, in a run of its own; `scores`
    begins the run of the whole suite, and asks only what these need. `backend` runs the attacks by another package
    ("pyautoattack", "torchattacks:PGD"). With `allow_partial`, data that are missing are left out, and the scores that
    lack them have a star. The model that a suite names as its baseline is run, too. `track` names trackers that are
    told the scores ("tensorboard", "mlflow"), in the folder of runs. `batch` is a size of batches, measured by default;
    "auto" is the largest that fits on a GPU, the fastest on a CPU. `workers` processes share the work, None for one a
    core on a CPU and one a GPU elsewhere; a script that asks for more than one must guard its main part by `if __name__
    == "__main__"`. The engine "ray" takes the workers of the cluster at `address` (host:port), None for all that it has
    room for, each with a share `gpus` of a GPU. Raises `RbenchError`s with the remedy.
    """
    means = Means(batch, workers, device, progress, Engine(engine, address, gpus))
    catalog = catalog or Catalog.find()
    trackers.require(track)
    variant = variant_of(seed, limit, eps, weights, probes, backend)
    spec = variant.apply(catalog.suite(suite))
    for score in spec.scores:
        resolve(score.use)  # a misspelt metric must not wait for the attacks
    reasons: dict[str, str] = {}
    with data_source(data_dir, download):
        subject = subject_of(catalog, model, variant, spec)
        dataset = dataset_of(spec)
        if allow_partial:
            reasons = sources.missing(spec, seed, dataset)
            variant = replace(variant, missing=tuple(reasons))
            spec = variant.apply(catalog.suite(suite))
        *others, task = tasks_of(catalog, spec, subject, dataset, variant, runs_root(runs), scores)
        if fresh:
            stale = [task, *(other for other in others if not other.settled)]
            for old in stale:
                set_aside(old.run.folder)
        todo = sum(each.complete(means) for each in (*others, task))
    run = task.run
    baseline = reference.baseline_of(catalog, spec, runs_root(runs), variant, task.manifest)
    with run.writing(task.manifest):
        found = assess(spec, run, sheet.claiming(subject.card, variant), baseline)
        run.judged(found.verdict, found.findings, diagnosed=found.diagnosed)
    done = concluded(spec, subject, run, variant, todo, len(dataset.labels), found, baseline)
    if track:
        trackers.log_scores(track, runs_root(runs), run.folder, done.scores, done.findings, _told(task))
    lost = (f"probe {name}: {reason}" for name, reason in reasons.items())
    return replace(done, left_out=(*lost, *variant.left_out(catalog.suite(suite))))


def _told(task: Task) -> dict[str, str]:
    """What an evaluation is, in words for a tracker."""
    manifest = task.manifest
    words = {key: str(manifest[key]) for key in ("suite", "model", "weights", "data", "seed", "samples", "rbench")}
    threat = task.suite.threat
    return words | ({"threat": f"{threat.norm} {threat.eps}"} if threat is not None else {})


def table(
    name: str,
    *,
    form: str = "terminal",
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    columns: str | None = None,
    runs: str | Path | None = None,
    catalog: Catalog | None = None,
) -> str:
    """A table of the shelf, or all scores of a suite, rendered from the runs; never evaluates anything.

    `columns` are the numbers to show: "measured", "published", "both" or their "difference".
    """
    from rbench.report import render

    catalog = catalog or Catalog.find()
    spec = sheet.table_spec(catalog, name)
    options = ("--runs", str(runs)) if runs is not None else ()
    variant = replace(variant_of(seed, limit, eps, None), options=options)
    return render(sheet.collect(catalog, spec, runs_root(runs), variant), form, columns)


def frames(
    runs: str | Path | None = None,
    *,
    suite: str = "*",
    model: str = "*",
    probe: str = "*",
    catalog: Catalog | None = None,
) -> Frames:
    """All runs under a folder as pandas DataFrames: `.runs`, `.scores` and `.samples`; `.write(folder)` keeps them.

    `suite`, `model` and `probe` are names or patterns such as "*-digits"; `probe` is for the samples alone. Nothing is
    evaluated. Raises `RbenchError`s with the remedy.
    """
    return Frames(runs_root(runs), catalog or Catalog.find(), suite, model, probe)


def card(
    name: str,
    *,
    hf: bool = False,
    size: bool = False,
    runs: str | Path | None = None,
    catalog: Catalog | None = None,
) -> str:
    """The model card of a model as Markdown, filled from its runs; `hf` puts Hugging Face's metadata in front.

    `size` has its parameters counted, which builds the network and imports torch. Without runs it names the commands
    that would fill it. Raises `RbenchError`s with the remedy.
    """
    from rbench.dossier import dossier
    from rbench.report.model_card import model_card

    found = dossier(catalog or Catalog.find(), name, runs_root(runs))
    if not size:
        return model_card(found, hf=hf)
    from rbench.sizes import size_of

    return model_card(found, hf=hf, size=size_of(found.card))


def site(
    runs: str | Path,
    html: str | Path,
    *,
    gallery: int = 0,
    data_dir: str | Path | None = None,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> Path:
    """Write a static site of everything under a folder of runs into the folder `html`; returns its first page.

    With `gallery` > 0, pages of models show so many samples of each attack that fool the model, and one of each
    corruption; models and data are needed, since images are made anew. A page says why it has none. Raises an
    `RbenchError` if `runs` holds no run, or one that cannot be read, or if `html` holds something else.
    """
    from rbench.report.site import files, spared, written

    catalog, root, folder = catalog or Catalog.find(), Path(runs), Path(html)
    if gallery < 0:
        raise UsageError(f"gallery = {gallery} must be 0, for none, or more.")
    spared(folder)  # before minutes are spent on images
    if not gallery:
        return written(files(catalog, root), folder)
    from rbench.gallery import curator

    with curator(catalog, root, gallery, data_dir=data_dir, progress=progress) as curate:
        return written(files(catalog, root, curate), folder)


def train(
    name: str,
    *,
    seed: int | None = None,
    preset: str | None = None,
    override: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
    **means: Any,
) -> "TrainResult":
    """Train the weights of a model by its card's recipe, resuming where it stopped; see `rbench.training.run`.

    `preset` names changes that the recipe lists, `override` others, as {"ews.rho": 0.7}. `means` are `device`,
    `accumulate`, `workers`, `keep_epochs` and `track` ("tensorboard", "mlflow"). Where processes make batches, as they
    do for a GPU, a script must guard its main part by `if __name__ == "__main__"`.
    """
    from rbench.training.run import Means, run, training

    catalog = catalog or Catalog.find()
    asked = training(catalog, name, _training_folder(out), seed=seed, preset=preset, override=override)
    with data_source(data_dir, download), interruptible():
        return run(catalog, asked, Means(**means), progress=progress)


def train_all(
    names: str | Sequence[str],
    *,
    jobs: int = 1,
    seed: int | None = None,
    preset: str | None = None,
    override: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
    **means: Any,
) -> "list[TrainResult]":
    """Train several models, `jobs` at a time; `names` may be patterns such as "*-digits". See `train`."""
    from rbench.training.run import Means, run_all, training

    catalog = catalog or Catalog.find()
    options: dict[str, Any] = {"seed": seed, "preset": preset, "override": override}
    asked = [training(catalog, name, _training_folder(out), **options) for name in _matching(catalog, names)]
    with data_source(data_dir, download), interruptible():
        return run_all(catalog, asked, jobs=jobs, means=Means(**means), progress=progress)


def estimate(
    names: str | Sequence[str],
    *,
    seed: int | None = None,
    preset: str | None = None,
    override: Mapping[str, Any] | None = None,
    device: str | None = None,
    accumulate: int = 1,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> "list[Estimate]":
    """What trainings would take: parameters, steps, hours and memory from timed steps on noise; see `train_all`."""
    from rbench.training.dry import estimate as estimated
    from rbench.training.run import Means, training

    catalog = catalog or Catalog.find()
    options: dict[str, Any] = {"seed": seed, "preset": preset, "override": override}
    asked = [training(catalog, name, _training_folder(None), **options) for name in _matching(catalog, names)]
    with interruptible():
        return [estimated(each, Means(device, accumulate), progress=progress, catalog=catalog) for each in asked]


def _matching(catalog: Catalog, names: str | Sequence[str]) -> list[str]:
    """The models that names or patterns mean (or a single one); raises `UsageError` for one that means nothing."""
    known = catalog.files("models")
    found: dict[str, None] = {}
    for name in [names] if isinstance(names, str) else names:
        matches = fnmatch.filter(known, name)
        if not matches:
            raise unknown("model", name, known)
        found |= dict.fromkeys(matches)
    return list(found)


def _training_folder(out: str | Path | None) -> Path:
    return Path(out) if out is not None else runs_root(None) / "train"


def load_model(name: str, *, weights: str | Path | None = None, catalog: Catalog | None = None) -> "nn.Module":
    """A model of the catalog in eval mode: images in [0, 1], shape [B, C, H, W], to logits [B, K]."""
    return subject_of(catalog or Catalog.find(), name, variant_of(0, None, None, weights), None).load()


def check(model: str | None = None, suite: str | None = None, *, catalog: Catalog | None = None) -> list[str]:
    """Check every file on the shelves, or how one model behaves under a suite; returns one line for each thing checked.

    Raises the first `RbenchError` found.
    """
    from rbench import checks
    from rbench.classes import of_its_classes

    catalog = catalog or Catalog.find()
    if model is None:
        return list(checks.shelves(catalog, runs_root(None)))
    if suite is None:
        raise UsageError("checking a model needs a suite too: rbench check --model NAME --suite NAME.")
    spec = catalog.suite(suite)
    subject = subject_of(catalog, model, Variant(), spec)
    dataset = dataset_of(spec)
    with of_its_classes(subject, spec, dataset):
        return list(checks.observe(subject.load(), dataset, spec))


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


def variant_of(
    seed: int,
    limit: int | None,
    eps: str | None,
    weights: str | Path | None,
    probes: Sequence[str] = (),
    backend: str | None = None,
) -> Variant:
    """What the options of an evaluation change of its suite; raises `MissingError` for a backend that is not there."""
    if backend is not None:
        backends.require(backend)
    file = str(weights) if weights is not None else None
    return Variant(seed, limit, eps, file, probes=tuple(dict.fromkeys(probes)), backend=backend)
