"""The verb `gate`: has a score dropped below that of a baseline? Images are attacked until it is known."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import snapshot
from rbench.api import evaluate, runs_root
from rbench.catalog import Catalog
from rbench.errors import AttackError, MissingError, ModelError, StoreError, UsageError, unknown
from rbench.evaluating import Means, Task, interruptible, task_of
from rbench.judging import Gated, Judge, together
from rbench.pairing import PAIRED
from rbench.planner import Variant
from rbench.sampling import one_by_one, sampler
from rbench.snapshot import Snapshot
from rbench.sources import data_source, dataset_of
from rbench.store import Run
from rbench.subject import subject_of
from rbench.types import FloatArray, IntArray, Outcomes, ScoreSpec, Suite

if TYPE_CHECKING:
    from torch import nn

BRANCHES = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BRANCH_NAME")  # of CI systems


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
    stops: see `rbench.betting`. It is about this very set of images and this seed. What goes wrong with the model is
    INCONCLUSIVE. `images` bounds how many are attacked. Raises `RbenchError`s for a gate or baseline that cannot serve.
    """
    catalog = catalog or Catalog.find()
    spec = catalog.gate(name)
    suite = catalog.suite(spec.suite)
    one_by_one(suite)
    scores = {each.name: scored(suite, each.name, name) for each in spec.scores}
    held = snapshot.read(baseline_path(catalog, name, baseline), f"rbench baseline save {name}")
    at = branch if branch is not None else next((os.environ[key] for key in BRANCHES if os.environ.get(key)), "")
    file = str(weights) if weights is not None else None
    variant = Variant(spec.seed, weights_file=file)
    with data_source(data_dir, download), interruptible():
        asked = variant.apply(suite)
        subject = subject_of(catalog, model if model is not None else spec.model, variant, asked)
        task = task_of(catalog, asked, subject, dataset_of(asked), variant, runs_root(None))
        needed = {probe for score in scores.values() for probe in score.of}
        snapshot.agree(held, task.manifest, needed, f"rbench baseline save {name}")
        most = min(x for x in (spec.budget, images, held.samples) if x is not None)
        if most < 1:
            raise UsageError(f"images = {most} must be at least 1.")
        judge = Judge(spec, scores, held)
        reason, passes = "", 0
        try:
            for found, cost in _looks(task, judge, most, Means(batch, workers, device, progress)):
                judge.see(*found)
                passes += cost
        except (ModelError, AttackError) as error:
            reason = str(error)
    verdicts = tuple(judge.verdicts())
    outcome = together(verdicts) if not reason else "INCONCLUSIVE"
    told = _notes(held, task)
    return Gated(
        spec, outcome, verdicts, judge.seen, held.samples, passes, subject.name, at, spec.undecided(at), reason, told
    )


def save(
    name: str,
    *,
    model: "str | nn.Module | None" = None,
    baseline: str | Path | None = None,
    catalog: Catalog | None = None,
    **options: Any,
) -> tuple[Path, Snapshot | None]:
    """Evaluate the model of a gate on all images and write its baseline; returns its file, and what was there before.

    `model` is another one to start from; `options` are those of `evaluate`.
    """
    catalog = catalog or Catalog.find()
    spec = catalog.gate(name)
    suite = catalog.suite(spec.suite)
    chosen = {each.name: scored(suite, each.name, name) for each in spec.scores}
    path = baseline_path(catalog, name, baseline)
    try:
        before = snapshot.read(path, "")
    except (MissingError, StoreError):  # there is none, or none that serves
        before = None
    run = evaluate(model or spec.model, spec.suite, scores=tuple(chosen), seed=spec.seed, catalog=catalog, **options)
    probes = dict.fromkeys(probe for score in chosen.values() for probe in score.of)
    evidence = {probe: outcomes for probe, outcomes in run.evidence.items() if probe in probes}
    snapshot.save(path, Run(run.folder).manifest() or {}, {key: run.scores[key] for key in chosen}, evidence)
    return snapshot.json_of(path), before


def baseline_path(catalog: Catalog, name: str, given: str | Path | None) -> Path:
    """Where the baseline of a gate lies: in the file given, or beside the gate's own."""
    path = Path(given) if given is not None else catalog.files("gates")[name]
    return path.with_suffix("") if path.suffix in (".json", ".parquet", ".toml") else path


def scored(suite: Suite, name: str, gate: str) -> ScoreSpec:
    """A score that a gate can watch; raises `UsageError` if the suite has none of that name, or it is no mean."""
    spec = next((each for each in suite.scores if each.name == name), None)
    if spec is None:
        raise unknown("score", name, [each.name for each in suite.scores], f"gate {gate!r}: suite {suite.name!r}")
    if spec.use not in PAIRED or spec.args:
        raise UsageError(f"gate {gate!r}: score {name!r} ({spec.use}) is no mean over images.")
    return spec


def _looks(
    task: Task, judge: Judge, most: int, means: Means
) -> Iterator[tuple[tuple[IntArray, dict[str, FloatArray]], int]]:
    """The next images and the candidate's errors on them, and what they cost, until all is decided or spent."""
    with sampler(task, judge.probes, means, judge.gate.look, judge.gate.name, most) as ask:
        while judge.probes and judge.seen < most:
            samples = judge.order[judge.seen : min(judge.seen + judge.gate.look, most)]
            found = ask(judge.probes, samples)
            cost = sum(int(each.forwards.sum() + each.backwards.sum()) for each in found.values())
            yield (samples, {probe: _errors(outcomes, samples) for probe, outcomes in found.items()}), cost


def _errors(outcomes: Outcomes, samples: IntArray) -> FloatArray:
    """The error of each image: the share of its rows that are wrong."""
    wrong = (~outcomes.correct).reshape(len(samples), -1)
    return wrong.mean(axis=1)


def _notes(held: Snapshot, task: Task) -> tuple[str, ...]:
    """What a reader must know besides: the baseline is of other code, or of these very weights."""
    notes = []
    if held.pinned["code"]["rbench"] != task.manifest["code"]["rbench"]:
        notes.append("the baseline was evaluated by other code of rbench: update it by `rbench gate --update`.")
    if held.pinned["weights"] == task.manifest["weights"]:
        notes.append("these are the weights of the baseline.")
    return tuple(notes)
