"""Studies of trainings: what is missing is trained and evaluated, then compared, printed and drawn."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.api import evaluate, runs_root
from rbench.captions import origin_of
from rbench.catalog import Catalog
from rbench.comparison import Comparison, Trained, image_errors
from rbench.errors import MissingError, StoreError, UsageError, unknown
from rbench.evaluating import interruptible
from rbench.files import write_atomically
from rbench.sources import data_source
from rbench.store import Run
from rbench.studies.asking import Asking
from rbench.trials import FEWEST, Arm, Study

if TYPE_CHECKING:
    from rbench.report.plot import Drawing
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
    fresh: bool = False,
    catalog: Catalog | None = None,
) -> TrialStudy:
    """Train and evaluate whatever a study of the catalog lacks, and write its report, figures and data to a folder.

    `jobs` trainings run at a time; `seeds` takes only the first so many. The same call goes on where it stopped.
    `fresh` moves evaluations aside that are of older code.
    Weights of trainings are not published. Raises `RbenchError`s with the remedy.
    """
    catalog = catalog or Catalog.find()
    spec = _of(catalog.study(name), seeds)
    root = runs_root(runs)
    with data_source(data_dir, download), interruptible():
        means = Asking(device, progress=progress)
        found, rows = _compared(catalog, spec, root, means, jobs=jobs, workers=workers, fresh=fresh)
    folder = Path(out) if out is not None else root / "studies" / name
    one = found.trained[spec.every[0].name][0]
    protocol = "\n".join((_protocol(catalog, spec, found.images), *one.origin))
    return TrialStudy(found, _written(found, rows, folder, protocol), folder)


def drawing(
    catalog: Catalog, root: Path, means: Asking, *, name: str, figure: str, seeds: int | None = None
) -> "Drawing":
    """A figure of a study whose trainings are finished; "errors" is one of every arm and measure.

    Raises `MissingError` with the command if a training is missing, `UsageError` for a figure that the study lacks.
    """
    from rbench.report.trial_plots import drawings, errors

    spec = _of(catalog.study(name), seeds)
    missing = sum(not each.is_file() for each in _weights(catalog, spec, root))
    words = f"rbench study {name}" + (f" --seeds {seeds}" if seeds is not None else "")
    if missing:
        raise MissingError(f"study {name!r} lacks {missing} trainings; make them: {words}")
    try:
        with data_source(means.data_dir, means.download), interruptible():
            found, rows = _compared(catalog, spec, root, means)
    except StoreError as error:
        raise MissingError(f"study {name!r} has evaluations of older code; make them anew: {words} --fresh") from error
    made = drawings(found, rows)
    made["errors"] = partial(errors, found)
    if figure not in made:
        raise unknown("figure", figure, made, f"study {name!r}")
    return made[figure]()


def _compared(
    catalog: Catalog,
    spec: Study,
    root: Path,
    means: Asking,
    *,
    jobs: int = 1,
    workers: int | None = 1,
    fresh: bool = False,
) -> tuple[Comparison, dict[str, Any]]:
    """The arms of a study compared, and the epochs of their trainings; what is missing is made."""
    results = _trained(catalog, spec, root, jobs=jobs, device=means.device, progress=means.progress)
    ask = partial(_asked, catalog, spec, fresh=fresh, runs=root, workers=workers, device=means.device)
    trained = {arm.name: tuple(ask(arm, result) for result in results[arm.name]) for arm in spec.every}
    images = len(next(iter(trained[spec.every[0].name][0].errors.values())))
    return Comparison(spec, images, trained), {arm: [each.rows for each in done] for arm, done in results.items()}


def left(name: str, *, seeds: int | None = None, runs: str | Path | None = None, catalog: Catalog | None = None) -> str:
    """How many trainings and evaluations a study needs, and how many of its trainings are not finished yet."""
    catalog = catalog or Catalog.find()
    spec = _of(catalog.study(name), seeds)
    wanted = _weights(catalog, spec, runs_root(runs))
    done = sum(each.is_file() for each in wanted)
    return (
        f"study {name}: {len(spec.every)} arms x {len(spec.seeds)} seeds; {len(wanted)} trainings, {done} of them "
        f"finished; as many evaluations of {', '.join(spec.probes)} by suite {spec.suite}."
    )


def _weights(catalog: Catalog, spec: Study, root: Path) -> set[Path]:
    """The weights of every training that a study needs."""
    asked = _asked_for(catalog, spec, root)
    return {each.folder / "weights.safetensors" for trainings in asked.values() for each in trainings}


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


def _asked(catalog: Catalog, spec: Study, arm: Arm, result: "TrainResult", *, fresh: bool, **options: Any) -> Trained:
    """One training's weights, evaluated; if `fresh`, what older code found is moved aside."""
    ask = partial(evaluate, arm.model, spec.suite, weights=result.weights, probes=spec.probes, catalog=catalog)
    try:
        run = ask(**options)
    except StoreError:
        if not fresh:
            raise
        run = ask(**options, fresh=True)
    evidence = run.evidence
    errors = {each.name: image_errors([evidence[name] for name in each.of], each) for each in spec.measures}
    seconds = float(np.median([row.seconds - row.search for row in result.rows]))
    search = float(sum(row.search for row in result.rows))
    best = result.best
    origin = origin_of(run.suite, Run(run.folder).manifest() or {})
    done = (len(result.rows), best.epoch, best.clean, best.robust)
    return Trained(errors, *done, seconds, search, origin, result.reached)


def _protocol(catalog: Catalog, spec: Study, images: int) -> str:
    suite = catalog.suite(spec.suite)
    eps = f", {suite.threat.norm}, eps = {suite.threat.eps}" if suite.threat else ""
    seeds = ", ".join(map(str, spec.seeds))
    return f"{suite.name}@{suite.version}{eps}: {images} test images, training seeds {seeds}, seed 0 of the evaluation."


def _written(found: Comparison, rows: Any, folder: Path, protocol: str) -> str:
    """The report's text; it is written with its figures and data."""
    from rbench.report.plot import FORMS
    from rbench.report.trial_plots import drawings
    from rbench.report.trials import report

    made = drawings(found, rows)
    text = report(found, protocol, [f"{name}.{form}" for name in made for form in FORMS])
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in made.items():
        for file, content in draw().files(name).items():
            write_atomically(folder / file, content)
    write_atomically(folder / "README.md", text.encode())
    for name, frame in (("seeds", found.seeds_frame), ("differences", found.differences_frame)):
        write_atomically(
            folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()
        )
    return text
