import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import torch

from rbench.errors import StoreError
from rbench.recipe import Augment
from rbench.training import loop
from rbench.training.state import manifest

CHILD = """
import json, sys
import torch
from pathlib import Path
from pydantic import TypeAdapter
from rbench.training.loop import train
from rbench.recipe import Recipe
from rbench.types import ModelCard
torch.set_num_threads(1)
card, recipe, out = json.load(sys.stdin)
card, recipe = TypeAdapter(ModelCard).validate_python(card), TypeAdapter(Recipe).validate_python(recipe)
train(card, recipe, out=Path(out), progress=False)
"""


@pytest.fixture(scope="module")
def wholes():
    """Trainings that nothing disturbed, by what was trained."""
    return {}


def rows_without_time(result):
    return [replace(row, seconds=0, search=0) for row in result.rows]


def interrupt(monkeypatch, epoch, iteration):
    """Let the training be interrupted once, in the middle of an epoch."""
    original = loop.step

    def step(setting, at_epoch, at_iteration, *rest):
        done = original(setting, at_epoch, at_iteration, *rest)
        if (at_epoch, at_iteration) == (epoch, iteration):
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(loop, "step", step)


@pytest.mark.parametrize(("epoch", "iteration"), [(0, 1), (1, 2), (3, 0)])
def test_interrupted_training_ends_with_the_same_bytes(
    card, recipe, tmp_path, tmp_path_factory, wholes, epoch, iteration
):
    asked = repr((card, recipe))
    if asked not in wholes:
        wholes[asked] = loop.train(card, recipe, out=tmp_path_factory.mktemp("whole"), progress=False)
    whole = wholes[asked]
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, epoch, iteration)
        with pytest.raises(KeyboardInterrupt):
            loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    parts = loop.train(card, recipe, out=tmp_path / "parts", progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert rows_without_time(parts) == rows_without_time(whole)
    last = [torch.load(result.folder / "state.pt", weights_only=True) for result in (whole, parts)]
    for part in ("model", "enhancer"):
        left, right = (state[part] if part == "model" else state[part]["controller"] for state in last)
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_killed_training_ends_with_the_same_bytes(card, recipe, tmp_path):
    recipe = replace(recipe, epochs=6)
    whole = loop.train(card, recipe, out=tmp_path / "whole", progress=False)
    out = tmp_path / "killed"
    job = json.dumps([asdict(card), asdict(recipe), str(out)]).encode()
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE)
    child.stdin.write(job)
    child.stdin.close()
    while not (out / "state.pt").exists():
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(0.05)  # on into the next epoch
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    assert not (out / "weights.safetensors").exists()
    loop.train(card, recipe, out=out, progress=False)  # of which this process knows no more than another would
    assert (out / "weights.safetensors").read_bytes() == whole.weights.read_bytes()
    names = [line.split(",")[0] for line in (out / "metrics.csv").read_text().splitlines()]
    assert names == ["epoch", *map(str, range(6))]


def test_finished_training_is_not_repeated(card, plain, tmp_path, monkeypatch):
    first = loop.train(card, plain, out=tmp_path, progress=False)
    monkeypatch.setattr(loop, "one_epoch", None)
    assert loop.train(card, plain, out=tmp_path, progress=False) == first


def test_seeds_differ(card, plain, tmp_path):
    zero, one = (loop.train(card, plain, out=tmp_path / str(k), seed=k, progress=False) for k in (0, 1))
    assert zero.weights.read_bytes() != one.weights.read_bytes()


def test_folder_of_another_training_is_refused(card, plain, tmp_path):
    loop.train(card, replace(plain, epochs=1), out=tmp_path, progress=False)
    with pytest.raises(StoreError, match=r"another training: epochs was 1, now 4.*--out"):
        loop.train(card, plain, out=tmp_path, progress=False)
    with pytest.raises(StoreError, match="another training: seed was 0, now 1"):
        loop.train(card, replace(plain, epochs=1), out=tmp_path, seed=1, progress=False)


def test_damaged_state_is_refused(card, plain, tmp_path):
    (tmp_path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(StoreError, match="is no training state"):
        loop.train(card, plain, out=tmp_path, progress=False)


def test_folder_that_cannot_be_written(card, plain, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write to"):
        loop.train(card, plain, out=tmp_path / "file" / "folder", progress=False)


def test_new_words_of_recipes_do_not_make_old_states_foreign(card, recipe):
    said = manifest(card, recipe, 3, "digest")
    assert json.loads(said["ews"]) == {"every": 1, "subset": 0.2, "subnets": 2}  # and no default
    assert json.loads(said["architecture"])["args"]["width"] == 4
    assert (said["seed"], said["images"]) == ("3", '"digest"')
    assert "awp" not in said
    assert "name" not in said
    assert manifest(card, replace(recipe, name="other", presets={"a": {"epochs": 1}}), 3, "digest") == said
    changed = [
        replace(recipe, epochs=5),
        replace(recipe, augment=Augment()),
        replace(recipe, ews=replace(recipe.ews, rho=0.7)),
        replace(recipe, ews=None),
    ]
    assert all(manifest(card, other, 3, "digest") != said for other in changed)
