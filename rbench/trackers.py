"""Where else numbers go: TensorBoard or MLflow, extras of these names. What rbench itself keeps is always written."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rbench.errors import MissingError, unknown
from rbench.types import Finding, Score

Kind = Literal["tensorboard", "mlflow"]
Log = Callable[[Mapping[str, float], int], None]
PLACE = "MLFLOW_TRACKING_URI"


def require(kinds: Sequence[str]) -> None:
    """Raise `UsageError` for a tracker that there is not, `MissingError` for one that is not installed."""
    for kind in kinds:
        if kind not in _TRACKERS:
            raise unknown("tracker", kind, _TRACKERS)
        if find_spec(kind) is None:
            raise absent(kind)


@contextmanager
def tracker(
    kind: str, folder: Path, name: str, settings: Mapping[str, str], database: Path | None = None
) -> Iterator[Log]:
    """A function that logs values by name at a step, for the run `name` that `settings` describe; `folder` keeps files.

    MLflow's go to $MLFLOW_TRACKING_URI, else to the SQLite file `database`, by default in `folder`. Raises
    `MissingError` if the package is not installed, and `UsageError` for another kind.
    """
    if kind not in _TRACKERS:
        raise unknown("tracker", kind, _TRACKERS)
    with _TRACKERS[kind](folder, name, settings, database or folder / "mlflow.db") as log:
        yield log


def log_scores(
    kinds: Sequence[str],
    root: Path,
    run: Path,
    scores: Mapping[str, Score],
    findings: Sequence[Finding],
    settings: Mapping[str, str],
) -> None:
    """Tell trackers the scores of the evaluation in the folder `run` below `root`: value, both ends of its interval, n.

    So are the counts of warnings and errors among its findings. Files go below `root`, to mlflow.db and tracking/; the
    run itself is left as it is. The same evaluation goes on with its run of MLflow.
    """
    place = run.relative_to(root)
    folder = root / "tracking" / place
    values = {f"findings.{level}": float(sum(f.level == level for f in findings)) for level in ("warn", "error")}
    for name, score in scores.items():
        low, high = score.interval
        told = {"": score.value, ".low": low, ".high": high, ".n": float(score.n)}
        values |= {f"{name.replace('*', '')}{end}": value for end, value in told.items()}
    for kind in dict.fromkeys(kinds):
        folder.mkdir(parents=True, exist_ok=True)
        with tracker(kind, folder, "/".join(place.parts), settings, root / "mlflow.db") as log:
            log(values, 0)


@contextmanager
def _tensorboard(folder: Path, _name: str, settings: Mapping[str, str], _database: Path) -> Iterator[Log]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise absent("tensorboard") from error
    writer = SummaryWriter(str(folder / "tensorboard"))
    writer.add_text("settings", "\n".join(f"    {key} = {value}" for key, value in settings.items()))

    def log(values: Mapping[str, float], step: int) -> None:
        for key, value in values.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _mlflow(folder: Path, name: str, settings: Mapping[str, str], database: Path) -> Iterator[Log]:
    """One run a name; the same folder goes on with its run."""
    try:
        import mlflow
    except ImportError as error:
        raise absent("mlflow") from error
    wanted = os.environ.get(PLACE)
    mlflow.set_tracking_uri(wanted or f"sqlite:///{database.resolve()}")
    mlflow.set_experiment("rbench")
    known = folder / "mlflow-run"
    run = _going_on(known)
    with mlflow.start_run(run_id=run, run_name=None if run else name) as active:
        known.write_text(active.info.run_id, encoding="utf-8")
        if run is None:
            mlflow.log_params({key: value[:500] for key, value in settings.items()})

        def log(values: Mapping[str, float], step: int) -> None:
            mlflow.log_metrics(dict(values), step=step)

        yield log
    if wanted is None:  # MLflow has set it, and the next run has a folder of its own
        os.environ.pop(PLACE, None)


def _going_on(known: Path) -> str | None:
    """The run that a file names, if MLflow has it still."""
    import mlflow

    if not known.is_file():
        return None
    run = known.read_text(encoding="utf-8")
    try:
        mlflow.get_run(run)
    except mlflow.exceptions.MlflowException:
        return None
    return run


def absent(package: str) -> MissingError:
    """The error for a package that is not installed."""
    return MissingError(f"{package} is not installed: pip install 'rbench[{package}]', or leave out --track {package}.")


_TRACKERS = {"tensorboard": _tensorboard, "mlflow": _mlflow}
