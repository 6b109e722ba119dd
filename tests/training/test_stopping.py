"""A training that is asked to stop ends its step, keeps its state, and goes on to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from rbench.errors import InterruptedRunError, StoreError
from rbench.recipe import Awp, InnerAttack
from rbench.training import keeping, loop, state
from rbench.training.course import PACE, Course, Diverged, Tally, asked_to_stop
from rbench.training.ranks import ALONE
from rbench.types import Call, Threat


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Curves take longer to draw than these trainings take."""
    monkeypatch.setattr(keeping, "draw", lambda *_: b"")


@pytest.fixture
def whole(recipe):
    """TRADES with perturbed weights and enhanced subnets."""
    attack = InnerAttack(Threat("linf", "24/255"), steps=2, rel_step="1/2", loss="kl", start="normal", mode="eval")
    return replace(recipe, objective=Call("rbench.training.objectives:trades"), attack=attack, awp=Awp(0.01, warmup=1))


def rows(result):
    return [replace(row, seconds=0, search=0) for row in result.rows]


def signalled(monkeypatch, number, place):
    """Send this process a signal in the middle of one step."""
    original = loop.step

    def step(setting, epoch, iteration, *rest):
        if (epoch, iteration) == place:
            os.kill(os.getpid(), number)
        return original(setting, epoch, iteration, *rest)

    monkeypatch.setattr(loop, "step", step)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("place", "rest"), [((0, 0), 11), ((1, 1), 7), ((2, 2), 3)])
def test_a_signal_ends_the_step_and_the_training_goes_on_to_the_same_bytes(
    card, whole, tmp_path, monkeypatch, number, place, rest
):
    handler = signal.getsignal(number)
    undisturbed = loop.train(card, whole, out=tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        signalled(patch, number, place)
        with pytest.raises(InterruptedRunError, match=r"asked to stop after \d steps of epoch \d; its state is saved"):
            loop.train(card, whole, out=tmp_path / "parts", progress=False)
    assert signal.getsignal(number) is handler
    taken = []
    original = loop.step
    monkeypatch.setattr(loop, "step", lambda *given: taken.append(given[1:3]) or original(*given))
    parts = loop.train(card, whole, out=tmp_path / "parts", progress=False)
    assert len(taken) == rest  # of 12: no step is taken twice
    assert parts.weights.read_bytes() == undisturbed.weights.read_bytes()
    assert rows(parts) == rows(undisturbed)
    last = [torch.load(result.folder / "state.pt", weights_only=True) for result in (undisturbed, parts)]
    for key in ("model", "enhancer"):
        left, right = (state[key] if key == "model" else state[key]["controller"] for state in last)
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_second_ctrl_c_stops_at_once_and_a_second_sigterm_means_no_more():
    with asked_to_stop() as asked:
        for _ in range(3):  # a scheduler signals, and torchrun does, too
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_sigterm_of_the_command_line_says_how_to_go_on(shelf, tmp_path):
    words = [sys.executable, "-m", "rbench", "train", "tiny-whole", "--catalog", str(shelf), "--out", str(tmp_path)]
    words += ["--override", "epochs=400", "--quiet"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    folder = tmp_path / "tiny-whole" / "epochs=400" / "seed0"
    while not (folder / "state.pt").is_file():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 5
    assert b"asked to stop after" in err
    assert b"To resume: rbench train tiny-whole" in err
    course = torch.load(folder / "state.pt", weights_only=True)["course"]
    assert course["iteration"] > 0 or course["rows"]


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_last_state_intact(card, plain, tmp_path, monkeypatch):
    loop.train(card, replace(plain, epochs=1), out=tmp_path / "one", progress=False)
    kept = []
    original = state.write_atomically

    def write(path, content):
        if path.name == "state.pt" and len(kept) == 2:
            full()
        if path.name == "state.pt":
            kept.append(content)
        original(path, content)

    monkeypatch.setattr(state, "write_atomically", write)
    message = r"cannot write .*state.pt \(No space left on device\); what was saved before is intact"
    with pytest.raises(StoreError, match=message):
        loop.train(card, plain, out=tmp_path / "full", progress=False)
    assert (tmp_path / "full" / "state.pt").read_bytes() == kept[-1]
    monkeypatch.undo()
    whole = loop.train(card, plain, out=tmp_path / "whole", progress=False)
    after = loop.train(card, plain, out=tmp_path / "full", progress=False)
    assert after.weights.read_bytes() == whole.weights.read_bytes()


def test_steps_are_asked_for_in_groups_on_a_gpu():
    class Gpu:
        type = "cuda"

    course = Course()
    tally = Tally(course, ALONE, Gpu())
    told = []
    for iteration in range(25):
        tally.add(torch.tensor([2.0, 1.0, 3.0, 4.0]).double())
        course.iteration = iteration + 1
        told.append(tally.ask(last=iteration == 24, wanted=iteration == 12))
    assert [count for count, _ in told] == [PACE * (i in (9, 19)) for i in range(24)] + [5]
    assert not any(stop for _, stop in told)  # wanted between two questions, it must be wanted still at the next one
    assert course.sums == [50, 25, 75, 100]
    assert course.means == (0.5, 0.25, 0.75)


def test_the_step_that_diverged_is_named():
    class Gpu:
        type = "cuda"

    course = Course()
    tally = Tally(course, ALONE, Gpu())
    for iteration in range(10):
        tally.add(torch.tensor([float("nan") if iteration >= 6 else 1.0, 0.0, 1.0, 1.0]).double())
        course.iteration = iteration + 1
    with pytest.raises(Diverged) as caught:
        tally.ask(last=False, wanted=False)
    assert caught.value.iteration == 6


def test_a_course_survives_its_state():
    course = Course(iteration=3, sums=[1.0, 2.0, 3.0, 4.0], begun=True, seconds=2.0, search=1.0)
    assert Course.of(course.state()) == course
