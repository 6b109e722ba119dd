"""Workers that are interrupted while they start, and what reaches them."""

import os
import signal
import sys
import time
from concurrent.futures import process
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch

from rbench import workers as module
from rbench.errors import ScarceError
from rbench.workers import INTERRUPTIONS, Spread, Workers, held, settle

TASKS = [(number,) for number in range(3)]


def bench(_tick):
    return 10


def times(factor, number):
    return factor * number


def blocked(_bench, _number):
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def workers():
    return Workers(2, bench, 10, lambda _: None)


@pytest.fixture(params=INTERRUPTIONS)
def interruption(request):
    """A signal that interrupts, as the command line has it."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_results_of_processes_are_those_of_one():
    with workers() as pool, Workers(1, bench, 10, lambda _: None) as alone:
        assert sorted(pool.map(times, TASKS)) == list(alone.map(times, TASKS)) == [0, 10, 20]


def test_an_interruption_amid_the_start_of_the_pool_is_an_interruption(interruption, monkeypatch):
    start = process._ExecutorManagerThread.start

    def cut_short(thread):
        signal.raise_signal(interruption)
        start(thread)

    monkeypatch.setattr(process._ExecutorManagerThread, "start", cut_short)
    with pytest.raises(KeyboardInterrupt), workers() as pool:
        list(pool.map(times, TASKS))


def test_what_is_held_comes_at_the_end_once(interruption):
    reached = []

    def hold():
        with held():
            signal.raise_signal(interruption)
            signal.raise_signal(interruption)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        hold()
    assert reached == [True]
    assert signal.getsignal(interruption) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_control_c_of_a_terminal_does_not_reach_workers_but_a_polite_kill_does():
    with workers() as pool:
        for mask in pool.map(blocked, TASKS):
            assert signal.SIGINT in mask
            assert signal.SIGTERM not in mask


def seen(_bench, _number):
    return os.environ.get("RBENCH_DATA"), "RBENCH_RUNS" in os.environ, os.getppid()


def test_workers_see_the_environment_of_their_own_start(monkeypatch):
    for folder in ("here", "there"):
        monkeypatch.setenv("RBENCH_DATA", folder)
        monkeypatch.delenv("RBENCH_RUNS", raising=False)
        with workers() as pool:
            assert {(place, runs) for place, runs, _ in pool.map(seen, TASKS)} == {(folder, False)}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are spawned")
def test_workers_are_forks_of_one_process_that_imported_what_is_slow(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "scipy.stats", raising=False)
    with workers() as pool:
        (parent,) = {parent for _, _, parent in pool.map(seen, TASKS)}
    assert parent == forkserver._forkserver._forkserver_pid
    assert {"torch", "torchvision"} <= set(forkserver._forkserver._preload_modules)
    assert "scipy.stats" not in forkserver._forkserver._preload_modules


def together(_bench, folder, count):
    """The process and its place, once so many places have come."""
    place = module._state["place"]
    Path(folder, place).touch()
    deadline = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return os.getpid(), place, torch.cuda.is_initialized()


def test_each_worker_has_a_device_for_its_own_and_none_of_this_process_s_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "_initialized", True)  # a fork would inherit it, and could use no GPU
    places = ["stand-in:0", "stand-in:1"]
    with Workers(Spread(places), bench, 10, lambda _: None) as pool:
        monkeypatch.setattr("rbench.memory.free", lambda: None)
        found = set(pool.map(together, [(str(tmp_path), 2)] * 4))
    assert sorted(place for _, place, _ in found) == places
    assert len({process for process, _, _ in found}) == 2
    assert not any(began for _, _, began in found)


def test_a_place_is_the_gpu_that_cuda_means(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for place in ("", "cpu", "cuda:1"):
        settle(place)
    assert chosen == ["cuda:1"]


def full(_tick):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")


def test_a_worker_without_memory_for_the_model_says_where():
    with (
        pytest.raises(
            ScarceError, match=r"on stand-in:[01] as a worker loaded .*\(CUDA out of memory\).*fewer --workers"
        ),
        Workers(Spread(["stand-in:0", "stand-in:1"]), full, 10, lambda _: None) as pool,
    ):
        list(pool.map(times, TASKS))
