"""Where else the rows of a training go."""

import csv
import sys

import pytest

from rbench.catalog import Catalog
from rbench.errors import MissingError
from rbench.training.history import Row
from rbench.training.loggers import logger, values_of
from rbench.training.run import Means, run, training


def trained(shelf, tmp_path, kind):
    result = run(Catalog((shelf,)), training(Catalog((shelf,)), "tiny-whole", tmp_path), Means(track=(kind,)), progress=False)  # fmt: skip # noqa: E501
    with (result.folder / "metrics.csv").open() as file:
        return result, list(csv.DictReader(file))


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_is_told_every_epoch(shelf, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, rows = trained(shelf, tmp_path, "tensorboard")
    events = EventAccumulator(str(result.folder / "tensorboard"))
    events.Reload()
    assert {"loss", "train", "clean", "robust", "lr"} <= set(events.Tags()["scalars"])
    for key in ("loss", "robust"):
        told = [(event.step, event.value) for event in events.Scalars(key)]
        assert [step for step, _ in told] == [0, 1, 2]
        assert [value for _, value in told] == pytest.approx([float(row[key]) for row in rows], rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_is_told_every_epoch_and_goes_on_with_its_run(shelf, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    result, rows = trained(shelf, tmp_path, "mlflow")
    run_id = (result.folder / "mlflow-run").read_text()
    client = mlflow.MlflowClient()
    told = client.get_metric_history(run_id, "loss")
    assert [metric.step for metric in told] == [0, 1, 2]
    assert [metric.value for metric in told] == pytest.approx([float(row["loss"]) for row in rows], rel=1e-5)
    assert client.get_run(run_id).data.params["epochs"] == "3"
    trained(shelf, tmp_path, "mlflow")
    assert (result.folder / "mlflow-run").read_text() == run_id


@pytest.mark.parametrize(("kind", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_package_that_is_not_installed(tmp_path, monkeypatch, kind, module):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"{kind} is not installed: pip install 'rbench\[{kind}\]', or leave out --track {kind}"
    with pytest.raises(MissingError, match=message), logger(kind, tmp_path, "tiny", {}):
        pass


def test_only_what_was_measured_is_told():
    row = Row(3, 0.1, 1.0, 0.0, 0.5, 0.9, None, None, 2.0)
    assert set(values_of(row)) == {"lr", "loss", "distillation", "train", "clean", "seconds", "search", "parts"}
