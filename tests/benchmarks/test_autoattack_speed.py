"""AutoAttack's standard budget side by side with pyautoattack, in one run; prints ratios, asserts nothing of the clock.

Run with: pytest tests/benchmarks/test_autoattack_speed.py --benchmark-only (about ten minutes)
"""

import logging
import os

import numpy as np
import pytest
import torch
from test_speed import THREAT, bare

import rbench
from rbench.attacks.apgd import apgd
from rbench.attacks.autoattack import autoattack
from rbench.data.digits import digits
from rbench.models.twin import accelerate
from rbench.rng import Draws

pyautoattack = pytest.importorskip("pyautoattack")
N, TOGETHER, CALLED, ROUNDS = 100, 24, 100, 5


@pytest.fixture(scope="module")
def setting():
    data = digits("test")
    x = torch.from_numpy(data.images(np.arange(N))).float() / 255
    model = rbench.load_model("at-digits").requires_grad_(False)
    y = torch.from_numpy(data.labels[:N])
    return model, accelerate(model, x), x, y


@pytest.fixture
def standing(setting):
    """Images that APGD does not fool, so that its whole budget is spent."""
    model, twin, x, y = setting
    keep = twin(apgd(twin, x, y, THREAT, rng=Draws(0, "apgd", torch.arange(N)))).argmax(1) == y
    return model, twin, x[keep], y[keep]


@pytest.mark.benchmark(group="APGD-CE, 100 steps")
@pytest.mark.parametrize("name", ["bare", "rbench"])
@pytest.mark.parametrize("kind", ["as given", "twin"])
def test_apgd_ce(benchmark, standing, name, kind):
    model, twin, x, y = standing
    chosen = model if kind == "as given" else twin

    def ours():
        return apgd(chosen, x, y, THREAT, rng=Draws(0, "apgd", torch.arange(len(x))))

    def floor():
        return bare(chosen, x, y, 101)

    assert benchmark.pedantic(ours if name == "rbench" else floor, rounds=7, warmup_rounds=1).shape == x.shape


def theirs(model, x, y, batch):
    attack = pyautoattack.AutoAttack(model, norm="Linf", eps=THREAT.radius, seed=0, device="cpu")
    attack.verbose = False
    return attack.run_standard_evaluation(x, y, batch_size=batch)[0]


@pytest.mark.benchmark(group="AutoAttack on the same twin, batch and thread")
@pytest.mark.parametrize("name", ["pyautoattack", "rbench"])
def test_on_the_same_twin(benchmark, setting, name):
    logging.disable()
    _, twin, x, y = setting
    x, y = x[:TOGETHER], y[:TOGETHER]
    right = twin(x).argmax(1) == y
    x, y = x[right], y[right]

    def ours():
        return autoattack(twin, x, y, THREAT, rng=Draws(0, "aa", torch.arange(len(x))))

    run = ours if name == "rbench" else lambda: theirs(twin, x, y, len(x))
    assert benchmark.pedantic(run, rounds=ROUNDS).shape == x.shape


@pytest.mark.benchmark(group="AutoAttack as its users call it")
@pytest.mark.parametrize("name", ["pyautoattack", "rbench"])
def test_as_users_call_it(benchmark, setting, name, tmp_path):
    """The plain model, the default batch and all threads, against `rbench eval` with its processes, start and all."""
    logging.disable()
    model, _, x, y = setting
    torch.set_num_threads(os.cpu_count() or 1)

    def ours():
        run = rbench.evaluate(
            "at-digits", "digits-linf", limit=CALLED, probes=("clean", "aa"), workers=None, fresh=True, runs=tmp_path
        )
        return run.samples

    try:
        run = ours if name == "rbench" else lambda: theirs(model, x[:CALLED], y[:CALLED], 250)
        assert len(benchmark.pedantic(run, rounds=ROUNDS)) >= CALLED
    finally:
        torch.set_num_threads(1)
