"""The choice of an engine: what it is refused for, before any worker is asked."""

import signal
import sys

import pytest

import rbench
from rbench.away.on_ray import _handlers_kept, _room
from rbench.errors import UsageError
from rbench.workers import INTERRUPTIONS


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'rbench\[ray\]'"):
        rbench.evaluate("at-digits", "digits-linf", limit=1, engine="ray")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "rey"}, "no engine named 'rey'. Did you mean 'ray'"),
        ({"address": "head:6379"}, "--address goes with --engine ray"),
        ({"gpus": 0.5}, "--gpus goes with --engine ray"),
        ({"engine": "ray", "gpus": 0.0}, "gpus = 0.0 must be greater than 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        rbench.evaluate("at-digits", "digits-linf", limit=1, **options)


def test_a_module_cannot_leave_its_process(small_net):
    with pytest.raises(UsageError, match=r"a module lives in this process.*file\.py:function"):
        rbench.evaluate(small_net, "digits-linf", limit=1, engine="ray")


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_what_ray_makes_of_interruptions_is_undone(number):
    before = signal.getsignal(number)
    with _handlers_kept():
        signal.signal(number, signal.SIG_IGN)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("cpus", "gpus", "share", "workers"),
    [(8, 0, 0, 8), (8, 2, 1, 2), (8, 2, 0.5, 4), (8, 2, 0.4, 4), (3, 2, 0.5, 3), (8, 0, 1, 0), (8, 5, 2, 2)],
)
def test_a_gpu_is_shared_in_whole_parts_and_each_worker_has_a_cpu(cpus, gpus, share, workers):
    assert _room(cpus, gpus, share) == workers
