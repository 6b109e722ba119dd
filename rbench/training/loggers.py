"""Where else an epoch's row goes: TensorBoard or MLflow, extras of these names. The CSV is always written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rbench.errors import MissingError, unknown
from rbench.training.history import Row

Logger = Callable[[Row], None]
PLACE = "MLFLOW_TRACKING_URI"
Kind = Literal["tensorboard", "mlflow"]


def values_of(row: Row) -> dict[str, float]:
    """What was measured of an epoch, by name."""
    return {key: float(value) for key, value in asdict(row).items() if key != "epoch" and value is not None}


@contextmanager
def logger(kind: Kind, folder: Path, name: str, settings: Mapping[str, str]) -> Iterator[Logger]:
    """A function that logs rows of the training `name`; `settings` describe it, `folder` holds its files.

    Raises `MissingError` if the package is not installed, and `UsageError` for another kind.
    """
    if kind not in _LOGGERS:
        raise unknown("tracker", kind, _LOGGERS)
    with _LOGGERS[kind](folder, name, settings) as log:
        yield log


@contextmanager
def _tensorboard(folder: Path, _name: str, settings: Mapping[str, str]) -> Iterator[Logger]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise _absent("tensorboard") from error
    writer = SummaryWriter(str(folder / "tensorboard"))
    writer.add_text("recipe", "\n".join(f"    {key} = {value}" for key, value in settings.items()))

    def log(row: Row) -> None:
        for key, value in values_of(row).items():
            writer.add_scalar(key, value, row.epoch)
        writer.flush()

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def _mlflow(folder: Path, name: str, settings: Mapping[str, str]) -> Iterator[Logger]:
    """One run a training; it goes to $MLFLOW_TRACKING_URI, or below `folder`. A resumed training resumes its run."""
    try:
        import mlflow
    except ImportError as error:
        raise _absent("mlflow") from error
    import os

    wanted = os.environ.get(PLACE)
    mlflow.set_tracking_uri(wanted or f"sqlite:///{(folder / 'mlflow.db').resolve()}")
    mlflow.set_experiment("rbench")
    known = folder / "mlflow-run"
    run = known.read_text(encoding="utf-8") if known.is_file() else None
    with mlflow.start_run(run_id=run, run_name=None if run else name) as active:
        known.write_text(active.info.run_id, encoding="utf-8")
        if run is None:
            mlflow.log_params({key: value[:500] for key, value in settings.items()})

        def log(row: Row) -> None:
            mlflow.log_metrics(values_of(row), step=row.epoch)

        yield log
    if wanted is None:  # MLflow has set it, and the next training has a folder of its own
        os.environ.pop(PLACE, None)


def _absent(package: str) -> MissingError:
    return MissingError(f"{package} is not installed: pip install 'rbench[{package}]', or leave out --track {package}.")


_LOGGERS = {"tensorboard": _tensorboard, "mlflow": _mlflow}
