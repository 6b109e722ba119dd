"""Workers that are interrupted while they start, and what reaches them."""

import os
import signal
import sys
from concurrent.futures import process
from multiprocessing import forkserver

import pytest

from rbench.workers import INTERRUPTIONS, Workers, held

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
