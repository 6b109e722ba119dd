"""Studies of trainings: what is missing is trained and evaluated, then compared, printed and drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.api import evaluate, runs_root
from rbench.catalog import Catalog
from rbench.comparison import Comparison, Trained, image_errors
from rbench.errors import UsageError
from rbench.evaluating import interruptible
from rbench.files import write_atomically
from rbench.sheet import origin_of
from rbench.sources import data_source
from rbench.store import Run
from rbench.trials import FEWEST, Arm, Study

if TYPE_CHECKING:
    from rbench.training.history import TrainResult
    from rbench.training.run import Training


@dataclass(frozen=True)
class TrialStudy:
    """A finished study: its comparison, its report as Markdown, and the folder with report, figures and data."""

    comparison: Comparison
    text: str
    folder: Path


def study(
    name: str,
    *,
    jobs: int = 1,
    seeds: int | None = None,
    runs: str | Path | None = None,
    out: str | Path | None = None,
    workers: int | None = 1,
    device: str | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> TrialStudy:
    """Train and evaluate whatever a study of the catalog lacks, and write its report, figures and data to a folder.

    `jobs` trainings run at a time; `seeds` takes only the first so many. The same call goes on where it stopped.
    Weights of trainings are not published. Raises `RbenchError`s with the remedy.
    """
    catalog = catalog or Catalog.find()
    spec = _of(catalog.study(name), seeds)
    root = runs_root(runs)
    with data_source(data_dir, download), interruptible():
        results = _trained(catalog, spec, root, jobs=jobs, device=device, progress=progress)
        ask = partial(_asked, catalog, spec, runs=runs, workers=workers, device=device)
        trained = {arm.name: tuple(ask(arm, result) for result in results[arm.name]) for arm in spec.every}
    one = trained[spec.every[0].name][0]
    images = len(next(iter(one.errors.values())))
    found = Comparison(spec, images, trained)
    folder = Path(out) if out is not None else root / "studies" / name
    rows = {arm: [result.rows for result in each] for arm, each in results.items()}
    protocol = "\n".join((_protocol(catalog, spec, images), *one.origin))
    return TrialStudy(found, _written(found, rows, folder, protocol), folder)


def left(name: str, *, seeds: int | None = None, runs: str | Path | None = None, catalog: Catalog | None = None) -> str:
    """How many trainings and evaluations a study needs, and how many of its trainings are not finished yet."""
    catalog = catalog or Catalog.find()
    spec = _of(catalog.study(name), seeds)
    asked = _asked_for(catalog, spec, runs_root(runs))
    wanted = {each.folder: each for trainings in asked.values() for each in trainings}
    done = sum((folder / "weights.safetensors").is_file() for folder in wanted)
    return (
        f"study {name}: {len(spec.every)} arms x {len(spec.seeds)} seeds; {len(wanted)} trainings, {done} of them "
        f"finished; as many evaluations of {', '.join(spec.probes)} by suite {spec.suite}."
    )


def _of(spec: Study, seeds: int | None) -> Study:
    if seeds is not None and not FEWEST <= seeds <= len(spec.seeds):
        raise UsageError(
            f"seeds = {seeds} must be from {FEWEST} to {len(spec.seeds)}, the number that the study names."
        )
    return spec if seeds is None else spec.only(seeds)


def _asked_for(catalog: Catalog, spec: Study, root: Path) -> "dict[str, list[Training]]":
    """The trainings of each arm; a value of a sweep that is the recipe's own is no change."""
    from rbench.training.run import training

    asked = {}
    for arm in spec.every:
        override = {key: value for key, value in arm.override.items() if value != _own(catalog, arm, key)}
        make = partial(training, catalog, arm.model, root / "train", preset=arm.preset, override=override)
        asked[arm.name] = [make(seed=seed) for seed in spec.seeds]
    return asked


def _own(catalog: Catalog, arm: Arm, key: str) -> Any:
    """What the recipe of an arm says by itself at a dotted key, None if nothing."""
    card = catalog.model(arm.model)
    value: Any = catalog.recipe(card.recipe or "", preset=arm.preset)
    for part in key.split("."):
        value = getattr(value, part, None)
    return value


def _trained(
    catalog: Catalog, spec: Study, root: Path, *, jobs: int, device: str | None, progress: bool
) -> "dict[str, list[TrainResult]]":
    """The results of each arm, in the order of the seeds; arms may share trainings."""
    from rbench.training.run import Means, run_all

    asked = _asked_for(catalog, spec, root)
    distinct = {each.folder: each for trainings in asked.values() for each in trainings}
    means = Means(device)
    done = run_all(catalog, list(distinct.values()), jobs=jobs, means=means, progress=progress, publishing=False)
    results = {result.folder: result for result in done}
    return {arm: [results[each.folder] for each in trainings] for arm, trainings in asked.items()}


def _asked(catalog: Catalog, spec: Study, arm: Arm, result: "TrainResult", **options: Any) -> Trained:
    """One training's weights, evaluated."""
    run = evaluate(arm.model, spec.suite, weights=result.weights, probes=spec.probes, catalog=catalog, **options)
    evidence = run.evidence
    errors = {each.name: image_errors([evidence[name] for name in each.of], each) for each in spec.measures}
    seconds = float(np.median([row.seconds - row.search for row in result.rows]))
    search = float(sum(row.search for row in result.rows))
    best = result.best
    origin = origin_of(run.suite, Run(run.folder).manifest() or {}, None)
    done = (len(result.rows), best.epoch, best.clean, best.robust)
    return Trained(errors, *done, seconds, search, origin, result.reached)


def _protocol(catalog: Catalog, spec: Study, images: int) -> str:
    suite = catalog.suite(spec.suite)
    eps = f", {suite.threat.norm}, eps = {suite.threat.eps}" if suite.threat else ""
    seeds = ", ".join(map(str, spec.seeds))
    return f"{suite.name}@{suite.version}{eps}: {images} test images, training seeds {seeds}, seed 0 of the evaluation."


def _written(found: Comparison, rows: Any, folder: Path, protocol: str) -> str:
    """The report's text; it is written with its figures and data."""
    from rbench.report.trial_plots import figures
    from rbench.report.trials import report

    files: dict[str, Callable[[], bytes]] = figures(found, rows)
    text = report(found, protocol, list(files))
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in files.items():
        write_atomically(folder / name, make())
    write_atomically(folder / "README.md", text.encode())
    for name, frame in (("seeds", found.seeds_frame), ("differences", found.differences_frame)):
        write_atomically(
            folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()
        )
    return text
