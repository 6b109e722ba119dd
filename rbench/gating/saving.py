"""The verb `baseline save`: what a gate compares with, and the attacked images that its first stage shows again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.again import again, bench_of
from rbench.api import evaluate, runs_root, variant_of
from rbench.catalog import Catalog
from rbench.errors import MissingError, StoreError, UsageError, unknown
from rbench.evaluating import Means, Task, task_of
from rbench.gates import Gate
from rbench.gating import snapshot
from rbench.gating.snapshot import Snapshot
from rbench.pairing import PAIRED
from rbench.progress import progress_bar
from rbench.sampling import sampler
from rbench.sources import data_source, dataset_of
from rbench.store import Run
from rbench.subject import subject_of
from rbench.types import Call, IntArray, Job, Outcomes, Probe, ScoreSpec, Suite

if TYPE_CHECKING:
    from torch import nn

    from rbench.gating.replay import Move

REPLAY = "replay"  # the probe that shows kept images


def save(
    name: str,
    *,
    model: "str | nn.Module | None" = None,
    baseline: str | Path | None = None,
    images: bool | None = None,
    catalog: Catalog | None = None,
    **options: Any,
) -> tuple[Path, Snapshot | None]:
    """Evaluate the model of a gate on all images and write its baseline; returns its file, and what was there before.

    `model` is another one to start from. With `images` the attacked images of the gate's last score by attacks are
    kept, too; by default if the baseline before kept them. `options` are those of `evaluate`.
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
    file = snapshot.images_of(path)
    shown = _shown(suite, chosen.values()) if (images if images is not None else file.is_file()) else None
    run = evaluate(model or spec.model, spec.suite, scores=tuple(chosen), seed=spec.seed, catalog=catalog, **options)
    probes = dict.fromkeys(probe for score in chosen.values() for probe in score.of)
    evidence = {probe: outcomes for probe, outcomes in run.evidence.items() if probe in probes}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.tmp")  # what is there stays until all of the new baseline is
    try:
        if shown is not None:
            attacks = {probe: evidence[probe] for probe in shown.of}
            evidence[REPLAY] = _kept(catalog, spec, model or spec.model, attacks, fresh, options)
            fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    scores = {key: run.scores[key] for key in chosen}
    snapshot.save(path, Run(run.folder).manifest() or {}, scores, evidence, shown.name if shown else "")
    if shown is None:
        file.unlink(missing_ok=True)
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


def _shown(suite: Suite, scores: Iterable[ScoreSpec]) -> ScoreSpec:
    """The last score that is one attack or a worst case over some; raises `UsageError` if there is none."""
    attacks = {probe.name for probe in suite.probes if probe.attack is not None and probe.eps is None}
    views = {probe.name for probe in suite.probes if probe.data is not None}
    if REPLAY in {probe.name for probe in suite.probes}:
        raise UsageError(f"suite {suite.name!r} has a probe {REPLAY!r}, which is what kept images are shown by.")
    found = [s for s in scores if attacks & set(s.of) and not views & set(s.of) and (len(s.of) == 1 or _any(s))]
    if not found:
        raise UsageError("no score of the gate is an attack, or a worst case over some, whose images could be kept.")
    return found[-1]


def _any(score: ScoreSpec) -> bool:
    return PAIRED[score.use] == "any"


def replay_job(like: Job, suite: Suite, images: Path) -> Job:
    """The job that shows kept images to the model of another job."""
    probe = Probe(REPLAY, Call("rbench.gating.replay:replay", {"file": str(images)}))
    return replace(like, probe=probe, threat=suite.threat, surrogates=())


def _kept(
    catalog: Catalog,
    spec: Gate,
    model: "str | nn.Module",
    attacks: Mapping[str, Outcomes],
    path: Path,
    options: Mapping[str, Any],
) -> Outcomes:
    """Write the attacked images of an evaluation; returns what its model makes of them as they are kept."""
    from rbench.gating import replay

    variant = variant_of(spec.seed, None, None, options.get("weights"))
    suite = variant.apply(catalog.suite(spec.suite))
    with data_source(options.get("data_dir"), options.get("download", False)):
        subject = subject_of(catalog, model, variant, suite)
        task = task_of(catalog, suite, subject, dataset_of(suite), variant, runs_root(options.get("runs")))
        show = bool(options.get("progress"))
        replay.write(path, dict(_made(task, _strongest(task, attacks), options.get("device"), show)))
        means = Means(options.get("batch"), options.get("workers", 1), options.get("device"), show)
        job = replay_job(task.jobs[0], suite, path)
        with sampler(task, [job], means, job.probe.block) as ask:
            ask.begin(REPLAY, task.n)
            return ask.every(REPLAY)


def _strongest(task: Task, attacks: Mapping[str, Outcomes]) -> dict[str, IntArray]:
    """By probe the samples that it, of all attacks, brings nearest to another class or furthest into it."""
    probes = [p.name for p in task.suite.probes if p.name in attacks and p.attack is not None and p.eps is None]
    if few := [probe for probe in probes if len(attacks[probe]) != task.n]:
        raise UsageError(f"probe {few[0]!r} does not ask every image once; a gate needs all of them.")
    margins = np.stack([attacks[probe].margin for probe in probes])  # of the samples 0..n-1, each once
    best = margins.argmin(axis=0)
    return {probe: np.flatnonzero(best == place) for place, probe in enumerate(probes)}


def _made(task: Task, wanted: Mapping[str, IntArray], device: str | None, show: bool) -> "Iterator[tuple[int, Move]]":
    """The perturbations of samples as `rbench.gating.replay` keeps them, made again by the probes that did best."""
    import torch

    from rbench.bench import load_images
    from rbench.gating import replay

    jobs = {job.probe.name: job for job in task.jobs if job.probe.name in wanted and len(wanted[job.probe.name])}
    probes = [job.probe for job in jobs.values()]
    with progress_bar(show=show) as bar, bench_of(task, probes, bar, device) as bench:
        for probe, job in jobs.items():
            chosen = wanted[probe].tolist()
            bar.begin(f"images of {probe}", 0, len(chosen))
            for _, images in again(bench, job, chosen, task.n):
                samples = sorted(images.keys() & set(chosen))
                x, _ = load_images(bench.dataset, np.array(samples), bench.device)
                moves = replay.pack(x, torch.stack([images[sample] for sample in samples]))
                yield from ((s, move) for s, move in zip(samples, moves, strict=True) if move.levels.any())
                bar.advance(len(samples))
