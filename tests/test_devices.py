"""How many workers there are, and on which devices; GPUs are played."""

from types import SimpleNamespace

import pytest
import torch

from rbench import subject
from rbench.away.engines import LOCAL, Engine
from rbench.errors import UsageError
from rbench.evaluating import Means
from rbench.subject import Subject, device_of, workers_for
from rbench.workers import Spread

NAMED = Subject("net", "digest", None)


@pytest.fixture
def gpus(monkeypatch):
    def play(count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        real = torch.empty

        def empty(*shape, device=None, **options):
            kind, _, number = str(device).partition(":")
            if kind != "cuda":
                return real(*shape, device=device, **options)
            if int(number or 0) >= count:
                raise RuntimeError("invalid device ordinal\nmore")
            return SimpleNamespace(device=torch.device(kind, int(number or 0)))

        monkeypatch.setattr(torch, "empty", empty)

    return play


@pytest.mark.parametrize("name", [None, "cuda"])
@pytest.mark.parametrize(("asked", "places"), [(None, 4), (9, 4), (3, 3), (1, 1)])
def test_there_is_one_worker_a_gpu_and_no_more_than_asked_for(gpus, name, asked, places):
    gpus(4)
    found = workers_for(asked, NAMED, device_of(name, None))
    assert isinstance(found, Spread)
    assert found == places
    assert found.places == ("cuda:0", "cuda:1", "cuda:2", "cuda:3")[:places]


@pytest.mark.parametrize(
    ("count", "name", "asked", "expected"),
    [(4, "cuda:1", None, 1), (4, "cuda:1", 2, 2), (1, "cuda", None, 1), (1, None, 3, 3), (4, "cpu", 3, 3)],
)
def test_a_single_device_is_no_matter_of_spreading(gpus, count, name, asked, expected):
    gpus(count)
    found = workers_for(asked, NAMED, device_of(name, None))
    assert type(found) is int
    assert found == expected
    assert device_of("cuda:0", None) == "cuda:0"


def test_a_gpu_that_is_not_there_is_refused(gpus):
    gpus(2)
    with pytest.raises(subject.UsageError, match=r"'cuda:2' cannot be used: invalid device ordinal$"):
        device_of("cuda:2", None)


def test_a_module_stays_where_it_is(gpus):
    gpus(4)
    assert workers_for(4, Subject("net", "digest", None, module=torch.nn.Identity()), "cuda") == 1


@pytest.mark.parametrize(
    ("workers", "engine", "refused"),
    [
        (4, LOCAL, True),
        (1, LOCAL, False),
        (Spread(["cuda:0", "cuda:1"]), LOCAL, False),
        (4, Engine("ray"), False),
        (4, Engine("ray", gpus=0.5), True),
    ],
)
def test_auto_measures_no_gpu_that_several_share(workers, engine, refused, monkeypatch):
    monkeypatch.setattr("rbench.evaluating.auto", lambda *_: 7)
    means, source = Means("auto", 4, "cuda", False, engine), SimpleNamespace(device="cuda")
    fresh, begun = (SimpleNamespace(settings=lambda kept=kept: kept) for kept in ({}, {"batch": 5}))
    assert means.batch_for(begun, source, 10, workers, None) == 5
    if refused:
        with pytest.raises(UsageError, match="name a number where several share it"):
            means.batch_for(fresh, source, 10, workers, None)
    else:
        assert means.batch_for(fresh, source, 10, workers, None) == 7
