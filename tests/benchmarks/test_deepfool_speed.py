"""DeepFool side by side with torchattacks', ten classes each; prints medians and asserts nothing about the clock.

Run with: pytest tests/benchmarks --benchmark-only
"""

import importlib.util
import warnings

import numpy as np
import pytest
import torch

import rbench
from rbench.attacks.deepfool import deepfool
from rbench.data.digits import digits
from rbench.models.twin import accelerate
from rbench.rng import Draws
from rbench.types import Threat

STEPS, BATCH = 50, 100
FAR = {"l2": Threat("l2", "50"), "linf": Threat("linf", "1")}  # no limit: the walk is what is timed


@pytest.fixture(scope="module")
def setting():
    """The trained digits model, its twin, and images that it classifies correctly."""
    data = digits("test")
    x = torch.from_numpy(data.images(np.arange(BATCH + 10))).float() / 255
    y = torch.from_numpy(data.labels[: BATCH + 10])
    model = rbench.load_model("at-digits").requires_grad_(False)
    correct = (model(x).argmax(1) == y).nonzero()[:BATCH, 0]
    x, y = x[correct], y[correct]
    return model, accelerate(model, x), x, y


def ours(model, x, y, norm="l2", candidates=10):
    draws = Draws(0, "deepfool", torch.arange(len(x)))
    return deepfool(model, x, y, FAR[norm], rng=draws, steps=STEPS, candidates=candidates)


def theirs(model, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old package on a new Python
        import torchattacks

        return torchattacks.DeepFool(model, steps=STEPS, overshoot=0.02)(x, y)


RUNS = {"rbench": ours} | ({"torchattacks": theirs} if importlib.util.find_spec("torchattacks") else {})


@pytest.mark.benchmark(group="DeepFool, L2, ten classes, the model as given")
@pytest.mark.parametrize("name", RUNS)
def test_deepfool(benchmark, setting, name):
    model, _, x, y = setting
    result = benchmark.pedantic(RUNS[name], (model, x, y), rounds=5, warmup_rounds=1)
    assert result.shape == x.shape


@pytest.mark.benchmark(group="DeepFool, rbench, the accelerated twin")
@pytest.mark.parametrize(("norm", "candidates"), [("l2", 10), ("l2", 4), ("linf", 10)])
def test_deepfool_on_the_twin(benchmark, setting, norm, candidates):
    _, twin, x, y = setting
    result = benchmark.pedantic(ours, (twin, x, y, norm, candidates), rounds=5, warmup_rounds=1)
    assert (twin(result).argmax(1) != y).all()
