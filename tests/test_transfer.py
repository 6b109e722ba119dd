"""Attacks crafted on surrogates, judged on the model itself."""

import shutil

import numpy as np
import pytest
import torch
from quick import contents

import rbench
from rbench.attacks.pgd import pgd
from rbench.catalog import Catalog
from rbench.data.digits import digits
from rbench.errors import MissingError, StoreError, UsageError
from rbench.models.twin import accelerate
from rbench.rng import Draws
from rbench.types import Threat

TRANSFER = """
[probes.second_moved]
block = 10
surrogates = {surrogates}
attack = {{ use = "rbench.attacks.pgd:pgd", args = {{ steps = 3 }} }}
[scores.moved]
use = "rbench.metrics:transfer_success"
of = ["clean", "second_moved"]
"""


@pytest.fixture
def transfer(suite, tmp_path):
    """The quick suite with a probe that is crafted on some surrogates; returns the catalog."""

    def write(*surrogates):
        suite()
        path = tmp_path / "shelf" / "suites" / "quick.toml"
        path.write_text(path.read_text() + TRANSFER.format(surrogates=list(surrogates)))
        return Catalog.find([tmp_path / "shelf"])

    return write


def moved(run):
    frame = run.samples
    return frame[frame.probe == "second_moved"].reset_index(drop=True)


def images(n):
    data = digits("test")
    return torch.from_numpy(data.pixels[:n]).float() / 255, torch.from_numpy(data.labels[:n])


@pytest.mark.parametrize("names", [("standard-digits",), ("standard-digits", "ews-digits")], ids=len)
def test_transfer_equals_an_evaluation_by_hand(transfer, names):
    run = rbench.evaluate("at-digits", "quick", limit=40, batch=10, catalog=transfer(*names))
    target, surrogates = rbench.load_model("at-digits"), [rbench.load_model(name) for name in names]
    x, y = images(40)
    twins = [accelerate(net, x) for net in surrogates]
    with torch.no_grad():
        correct = target(x).argmax(1) == y
        known = sum(net(x) for net in surrogates).argmax(1) == y
    x_adv = x.clone()
    for rows in torch.arange(40).split(10):
        part = rows[correct[rows]]
        ensemble = torch.nn.Module()
        ensemble.forward = lambda z: torch.stack([twin(z) for twin in twins]).mean(0)
        draws = Draws(0, "second_moved", part)
        x_adv[part] = pgd(ensemble, x[part], y[part], Threat("linf", "24/255"), rng=draws, steps=3, stop=False)
    with torch.no_grad():
        pred = target(x_adv).argmax(1)
    frame = moved(run)
    assert frame.pred.tolist() == pred.tolist()
    assert (frame.group == 1).tolist() == known.tolist()
    asked = correct & known
    assert run.scores["moved"].value == pytest.approx(float((pred != y)[asked].float().mean()))
    assert run.scores["moved"].n == int(asked.sum())
    assert (frame.forwards[correct.numpy()] == 4 * len(names)).all()
    assert (frame.backwards[correct.numpy()] == 3 * len(names)).all()


def test_a_model_that_is_its_own_surrogate_is_the_white_box_that_goes_on_after_success(transfer):
    run = rbench.evaluate("standard-digits", "quick", limit=20, catalog=transfer("standard-digits"))
    frame = run.samples
    own, white = moved(run), frame[frame.probe == "second"].reset_index(drop=True)
    right = (frame[frame.probe == "clean"].pred == own.label.to_numpy()).to_numpy()
    assert (own.group.to_numpy() == right).all()
    assert (own.pred != own.label)[right].mean() > 0.9  # the starts differ, since a probe's name seeds its draws
    assert own.margin[right].mean() < white.margin[right].mean() - 1
    assert (own.forwards[right] == 4).all()


def test_another_surrogate_moves_only_its_own_probe(transfer, tmp_path):
    runs = [
        rbench.evaluate("at-digits", "quick", limit=20, catalog=transfer(name), runs=tmp_path / name).samples
        for name in ("standard-digits", "ews-digits")
    ]
    margins = [{probe: part.margin.to_numpy() for probe, part in run.groupby("probe")} for run in runs]
    assert all(np.array_equal(margins[0][probe], margins[1][probe]) for probe in ("clean", "first", "second"))
    assert not np.array_equal(margins[0]["second_moved"], margins[1]["second_moved"])


@pytest.mark.parametrize("workers", [1, 2])
def test_lost_blocks_of_a_transfer_are_run_again_to_the_same_bytes(transfer, workers):
    catalog = transfer("standard-digits", "ews-digits")
    options = {"limit": 40, "batch": 20, "catalog": catalog}
    run = rbench.evaluate("at-digits", "quick", **options)
    before = contents(run.folder)
    for name in ("complete.json", "000000.parquet", "000030.parquet"):
        (run.folder / "second_moved" / name).unlink()
    assert rbench.evaluate("at-digits", "quick", workers=workers, **options).fresh_blocks == 2
    assert contents(run.folder) == before


@pytest.mark.parametrize(
    ("surrogate", "sentence", "error"),
    [
        ("standard-digit", "Did you mean 'standard-digits'", UsageError),
        ("somewhere.py:net", "no model named 'somewhere.py:net'", UsageError),
        ("ews-wrn34", "'ews-wrn34' classifies 'cifar10', suite 'quick' holds 'digits'", UsageError),
    ],
)
def test_a_surrogate_that_does_not_serve_is_one_sentence(transfer, surrogate, sentence, error):
    with pytest.raises(error, match=sentence):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=transfer(surrogate))


@pytest.fixture
def shelf(transfer, tmp_path):
    """A catalog with a surrogate of its own, `mine`, and its folder."""

    def write(weights=True):
        catalog = transfer("mine")
        zoo = tmp_path / "shelf" / "model_zoo"
        (zoo / "weights").mkdir(parents=True)
        file, digest = catalog.weights(catalog.model("standard-digits"))
        if weights:
            shutil.copy(file, zoo / "weights" / file.name)
        (zoo / "weights.lock").write_text(f'mine = "{digest}"\n')
        text = catalog.files("models")["standard-digits"].read_text()
        (zoo / "mine.toml").write_text(text)
        return Catalog.find([tmp_path / "shelf"]), zoo

    return write


def test_a_surrogate_without_weights_is_missing(shelf):
    catalog, _ = shelf(weights=False)
    with pytest.raises(MissingError, match="the weights of 'mine' do not exist yet"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)


def test_a_run_is_pinned_to_its_surrogates(shelf):
    catalog, zoo = shelf()
    rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)
    assert "--model at-digits" not in rbench.table("quick", limit=10, catalog=catalog)
    (zoo / "mine.toml").write_text((zoo / "mine.toml").read_text().replace("mean = [0.305", "mean = [0.3"))
    with pytest.raises(StoreError, match=r"its surrogates\.mine is"):
        rbench.evaluate("at-digits", "quick", limit=10, catalog=catalog)
    assert "--model at-digits --limit 10 --fresh" in rbench.table("quick", limit=10, catalog=catalog)
