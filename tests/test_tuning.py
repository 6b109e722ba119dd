import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rbench import tuning
from rbench.tuning import DEFAULT_BATCH, LONGEST, auto_batch, clock_of, fastest, largest, quickest_batch


class Costly(nn.Module):
    """Costs CPU time for every call, or for every image beyond the first hundred."""

    def __init__(self, per_call=0.0, per_extra=0.0):
        super().__init__()
        self.per_call, self.per_extra = per_call, per_extra

    def forward(self, x):
        end = time.process_time() + self.per_call + self.per_extra * max(0, len(x) - DEFAULT_BATCH)
        while time.process_time() < end:
            pass
        return x.mean((2, 3))


@pytest.mark.parametrize(("costs", "expected"), [({"per_call": 0.02}, 200), ({"per_extra": 0.001}, DEFAULT_BATCH)])
def test_the_batch_size_follows_the_cost(costs, expected):
    assert quickest_batch(Costly(**costs), torch.rand(20, 3, 8, 8)) == expected


def test_small_differences_do_not_choose():
    """A fixed cost of a fifth of a pass makes 200 a little quicker an image than 50, but not worth while."""
    cost = Costly(per_call=0.001)
    original = cost.forward

    def forward(x):
        end = time.process_time() + 1e-4 * len(x)
        while time.process_time() < end:
            pass
        return original(x)

    cost.forward = forward
    assert quickest_batch(cost, torch.rand(20, 3, 8, 8)) == DEFAULT_BATCH


def test_a_model_without_gradient_is_measured_all_the_same():
    model = nn.Flatten()
    assert quickest_batch(lambda x: model(x).round().detach(), torch.rand(20, 3, 8, 8)) > 0


@pytest.fixture
def _no_garbage(monkeypatch):
    """To collect garbage takes long among everything that tests have imported."""
    monkeypatch.setattr("rbench.tuning.free", lambda: None)


def roomy(limit, tried):
    """A pass that has memory for so many images."""

    def run(size):
        tried.append(size)
        if size > limit:
            raise torch.OutOfMemoryError

    return run


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize("most", [1, 7, 100])
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 33, 64, 99, 100, 1000])
def test_the_probe_finds_the_largest_size_that_fits(limit, most):
    tried = []
    assert largest(roomy(limit, tried), most) == min(limit, most)
    assert max(tried) <= most
    assert len(tried) == len(set(tried)) <= 15


def test_another_error_than_want_of_memory_is_no_answer():
    def run(_size):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        largest(run, 8)


class Clock:
    """Time passes by what a pass of each size costs; sizes without a cost have no memory."""

    def __init__(self, costs):
        self.costs, self.now, self.runs = costs, 0.0, []

    def run(self, size):
        self.runs.append(size)
        if size not in self.costs:
            raise MemoryError
        self.now += self.costs[size]

    def fastest(self):
        return fastest(self.run, (10, 25, 50, 100), lambda: self.now)


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({10: 0.1, 25: 0.2, 50: 0.3, 100: 0.7}, 50),  # seconds an image: 0.01, 0.008, 0.006, 0.007
        ({10: 0.1, 25: 0.25, 50: 0.5, 100: 1.0}, 10),  # all alike
        ({10: 0.1, 25: 0.2499, 50: 0.4999, 100: 0.9999}, 10),  # as good as alike
        ({10: 0.1, 25: 0.2, 50: 0.3}, 50),  # 100 does not fit
        ({10: 0.1, 25: LONGEST * 1.1, 50: 0.01, 100: 0.01}, 10),  # nobody waits for more
        ({}, 0),
    ],
)
def test_the_fastest_size_an_image_is_taken_and_the_smaller_of_equals(costs, expected):
    assert Clock(costs).fastest() == expected


def test_one_slow_spell_does_not_decide():
    clock = Clock({10: 0.1, 25: 0.2, 50: 0.3, 100: 0.7})
    costs = clock.costs
    clock.costs = type("Spell", (dict,), {"__getitem__": lambda _, size: costs[size] * (9 if len(clock.runs) in (7, 8) else 1)})(costs)  # fmt: skip # noqa: E501
    assert clock.fastest() == 50


def test_short_passes_are_timed_many_at_a_time():
    clock = Clock({10: 1e-3, 25: 1e-3})
    assert clock.fastest() == 25
    assert clock.runs.count(10) > 5 * 19


def test_auto_on_a_cpu_takes_no_more_than_there_is():
    size, why = auto_batch(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.rand(3, 3, 2, 2), 30)
    assert size in (10, 25)
    assert why == "the fastest of 10, 25"


@pytest.mark.usefixtures("_no_garbage")
@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (100, (37, "the largest whose backward pass fits on a played GPU")),
        (20, (20, "as much as there is for a worker on a played GPU")),
    ],
)
def test_auto_on_a_gpu_takes_the_largest_that_fits(most, expected, monkeypatch):
    tried = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a played GPU")
    monkeypatch.setattr(tuning, "_with_room", lambda _model, _x, size: roomy(37, tried)(size))
    assert auto_batch(None, SimpleNamespace(device=torch.device("cuda")), most) == expected


def test_a_pass_is_tried_beside_what_an_attack_holds_and_with_memory_to_spare(monkeypatch):
    """On a device that holds nothing: what is asked for is counted when the model is called."""
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (5000, 10000))
    empty, x = torch.empty, torch.empty(2, 3, 8, 8, device="meta")
    monkeypatch.setattr(torch, "empty", lambda size, **options: asked.append(size) or empty(size, **options))
    new = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda like, *shape: asked.append(shape) or new(like, *shape))

    def model(images):
        assert images.requires_grad
        assert asked[0] == 1000
        assert asked.count((5, 3, 8, 8)) >= tuning.HELD
        asked.append(len(images))
        return images.flatten(1)

    tuning._with_room(model, x, 5)
    assert asked[-1] == 5


def test_a_batch_on_a_cpu_is_no_larger_than_it_may_be():
    assert auto_batch(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.rand(3, 3, 2, 2), 3)[0] == 3


@pytest.mark.parametrize(
    ("device", "threads", "clock"),
    [("cpu", 1, time.process_time), ("cpu", 2, time.perf_counter), ("cuda", 1, time.perf_counter)],
)
def test_only_one_thread_of_a_cpu_is_timed_by_what_it_computes(monkeypatch, device, threads, clock):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert clock_of(torch.device(device)) is clock
