"""Timings side by side in one run; they print ratios and assert nothing about the clock.

Run with: pytest tests/benchmarks --benchmark-only
"""

import importlib.util
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import rbench
from rbench.attacks.pgd import pgd
from rbench.data.digits import digits
from rbench.models.twin import accelerate
from rbench.rng import Draws
from rbench.types import Threat

STEPS, BATCH = 20, 100
THREAT = Threat("linf", "24/255")


@pytest.fixture(scope="module")
def setting():
    data = digits("test")
    x = torch.from_numpy(data.images(np.arange(BATCH))).float() / 255
    model = rbench.load_model("at-digits").requires_grad_(False)
    return model, accelerate(model, x), x, torch.from_numpy(data.labels[:BATCH])


def bare(model, x, y, steps=STEPS):
    """Forward and backward passes and nothing else: the floor of an attack."""
    for _ in range(steps):
        point = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
    return grad


def ours(model, x, y):
    return pgd(model, x, y, THREAT, rng=Draws(0, "pgd20", torch.arange(len(x))), steps=STEPS)


def torchattacks_pgd(model, x, y):
    import torchattacks

    return torchattacks.PGD(model, eps=THREAT.radius, alpha=THREAT.radius / 4, steps=STEPS)(x, y)


def foolbox_pgd(model, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old package on a new scipy
        import foolbox

    attack = foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=STEPS)
    return attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=THREAT.radius)[1]


PEERS = {"torchattacks": torchattacks_pgd, "foolbox": foolbox_pgd}
RUNS = {"bare": bare, "rbench": ours, **{k: v for k, v in PEERS.items() if importlib.util.find_spec(k)}}


@pytest.mark.benchmark(group="PGD-20, the model as given")
@pytest.mark.parametrize("name", RUNS)
def test_pgd20(benchmark, setting, name):
    model, _, x, y = setting
    result = benchmark.pedantic(RUNS[name], (model, x, y), rounds=12, warmup_rounds=2)
    assert result.shape == x.shape


@pytest.mark.benchmark(group="PGD-20, the accelerated twin")
@pytest.mark.parametrize("name", ["bare", "rbench"])
def test_pgd20_on_the_twin(benchmark, setting, name):
    _, twin, x, y = setting
    result = benchmark.pedantic(RUNS[name], (twin, x, y), rounds=12, warmup_rounds=2)
    assert result.shape == x.shape


@pytest.mark.benchmark(group="forward pass")
@pytest.mark.parametrize("kind", ["as given", "twin"])
def test_forward(benchmark, setting, kind):
    model, twin, x, _ = setting
    with torch.no_grad():
        logits = benchmark.pedantic(model if kind == "as given" else twin, (x,), rounds=50, warmup_rounds=5)
    assert logits.shape == (BATCH, 10)


@pytest.mark.benchmark(group="random start")
def test_random_start(benchmark):
    draws = Draws(0, "start", torch.arange(BATCH))
    assert benchmark.pedantic(draws.uniform, ((3, 32, 32),), rounds=20, warmup_rounds=2).shape == (BATCH, 3, 32, 32)
