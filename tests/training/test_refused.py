"""What is refused and what stops a training: values, divergence, signals, and who publishes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from rbench.catalog import Catalog
from rbench.errors import ModelError, UsageError
from rbench.recipe import Augment, Ews, InnerAttack, Optimiser, Selection
from rbench.training import loop
from rbench.training.pipeline import Pipeline
from rbench.training.run import run, training
from rbench.training.setting import prepare
from rbench.types import Call, Threat

THREAT = Threat("linf", "24/255")


def test_weights_that_are_lost_in_the_last_step_are_not_kept(card, plain, tmp_path, monkeypatch):
    original = loop.step

    def step(setting, epoch, iteration, *rest):
        done = original(setting, epoch, iteration, *rest)
        if (epoch, iteration) == (1, 2):
            with torch.no_grad():
                setting.model.stem.weight[0] = float("nan")
        return done

    monkeypatch.setattr(loop, "step", step)
    message = r"the loss is nan at step 2 of epoch 1 .*; the last good state is .*, and train in another folder"
    with pytest.raises(ModelError, match=message):
        loop.train(card, plain, out=tmp_path, progress=False)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert len(state["course"]["rows"]) == 1
    assert all(torch.isfinite(value.float()).all() for value in state["model"].values())


def test_a_diverging_subnet_is_a_divergence(card, plain, tmp_path, monkeypatch):
    original = loop.step
    lost = torch.tensor([0.0, float("inf"), 0.0, 0.0]).double()
    monkeypatch.setattr(loop, "step", lambda *given: original(*given) + lost)
    with pytest.raises(ModelError, match="the loss is inf at step 0 of epoch 0"):
        loop.train(card, plain, out=tmp_path, progress=False)


def test_only_the_first_rank_publishes(shelf, tmp_path, monkeypatch):
    from rbench.training import run as running

    catalog = Catalog((shelf,))
    monkeypatch.setattr(running, "speaks", lambda: False)
    assert run(catalog, training(catalog, "tiny-plain", tmp_path), progress=False).published is None
    assert not (shelf / "model_zoo" / "weights").exists()
    monkeypatch.setattr(running, "speaks", lambda: True)
    assert run(catalog, training(catalog, "tiny-plain", tmp_path), progress=False).published is not None


def test_how_many_processes_make_batches(plain, monkeypatch):
    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    module = replace(plain, data=Call("rbench.data.digits:digits"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    assert loop.workers_of(module, cpu, None) == 0
    assert loop.workers_of(module, cpu, 3) == 3
    assert loop.workers_of(module, gpu, None) == 8
    assert loop.workers_of(module, gpu, 0) == 0
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert loop.workers_of(module, gpu, None) == 3
    assert loop.workers_of(plain, gpu, None) == 0  # its data is code in a file, which other processes cannot import
    with pytest.raises(UsageError, match=r"small.py:small is no module that worker processes can import"):
        loop.workers_of(plain, cpu, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimiser(lr=0.1, weight_decay=-1.0), "optimiser.weight_decay = -1.0 must be at least 0"),
        (lambda: Optimiser(lr=0.1, momentum=1.5), "optimiser.momentum = 1.5 must be at least 0 and less than 1"),
        (lambda: Optimiser(lr=0.1, momentum=0.0, nesterov=True), "nesterov looks ahead by the momentum"),
        (lambda: Optimiser(lr=0.1, kind="adamw", momentum=0.9), "momentum and nesterov belong to kind = 'sgd'"),
        (lambda: Augment(pad=-1), "augment.pad = -1 must be at least 0"),
        (lambda: Selection(steps=-3), "selection.steps = -3 must be at least 1"),
        (lambda: Selection(rel_step="x"), "selection.rel_step = 'x' is not a number"),
        (lambda: InnerAttack(THREAT, rel_step="0"), "attack.rel_step = '0' must be greater than 0"),
        (lambda: Ews(lam=-1.0), "ews.lam = -1.0 must be at least 0"),
        (lambda: Ews(lr=0.0), "ews.lr = 0.0 must be greater than 0"),
        (lambda: Ews(decay=1.0), "ews.decay = 1.0 must be at least 0 and less than 1"),
        (lambda: Ews(every_steps=3, images="clean"), "learns on training batches as they are seen"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_reflections_need_an_image_as_large_as_the_padding(card, plain):
    recipe = replace(plain, augment=Augment(pad=32, padding="reflect"))
    with pytest.raises(UsageError, match=r"augment.pad = 32 reflects more than an image of 32 pixels has"):
        Pipeline(prepare(card, recipe, 0).data, recipe, 0)


def test_a_change_that_a_recipe_refuses_is_named():
    with pytest.raises(UsageError, match=r"at-digits.toml, changed to ews.rho = 2: ews: ews.rho = 2.0 must be"):
        Catalog.find().recipe("at-digits", override={"ews.rho": 2})


def test_seeds_that_are_none(shelf, tmp_path):
    for seed in (-1, 10**20):
        with pytest.raises(UsageError, match=rf"seed = {seed} must lie in"):
            training(Catalog((shelf,)), "tiny-plain", tmp_path, seed=seed)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of groups are POSIX")
def test_a_signal_to_the_whole_group_spares_the_processes_that_make_batches(shelf, tmp_path):
    """torchrun and schedulers signal the group; the state in the middle of the epoch must survive that."""
    text = (shelf / "model_zoo" / "recipes" / "tiny-whole.toml").read_text()
    pointer = text.split('data = { use = "')[1].split('"')[0]
    recipe = text.replace(pointer, "rbench.data.digits:digits").replace("epochs = 3", "epochs = 400")
    (shelf / "model_zoo" / "recipes" / "tiny-whole.toml").write_text(recipe)
    words = [sys.executable, "-m", "rbench", "train", "tiny-whole", "--catalog", str(shelf), "--out", str(tmp_path)]
    child = subprocess.Popen(
        [*words, "--workers", "1", "--quiet"], stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    state = tmp_path / "tiny-whole" / "seed0" / "state.pt"
    while not state.is_file():
        assert child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGTERM)
    time.sleep(0.05)
    os.killpg(child.pid, signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 5, err
    assert b"its state is saved" in err
    course = torch.load(state, weights_only=True)["course"]
    assert np.isfinite(course["sums"]).all()
