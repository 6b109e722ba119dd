"""What a gate costs against AutoAttack on all images, in images and in passes; the clock plays no part.

Run with: pytest tests/benchmarks/test_gate_cost.py --benchmark-only (about a minute)
"""

from pathlib import Path

import numpy as np
import pytest

import rbench
from rbench.gates import Gate, GateScore
from rbench.gating.cases import Case
from rbench.gating.judging import Judge
from rbench.gating.snapshot import Snapshot

N, DELTA, RUNS = 10_000, 0.01, 20


def images_used(discordance, drop, seed):
    """How many of N images a gate draws until it knows, and the outcome; a share of all turns either way."""
    random = np.random.default_rng(RUNS + seed)  # not the seed of the order
    lost, won = (round(N * (discordance + side * drop) / 2) for side in (1, -1))
    before, after = np.zeros(N), np.zeros(N)
    turned = random.permutation(N)[: lost + won]
    after[turned[:lost]], before[turned[lost:]] = 1, 1
    gate = Gate("g", "t", "s", "m", (GateScore("a", DELTA),), look=100)
    held = Snapshot(Path("x"), {"samples": N, "evidence": f"{seed:016x}" + "0" * 48}, {"a": before})
    judge = Judge(gate, [Case(gate.scores[0], ("a",), "mean", before, gate.alpha)], held)
    while len(samples := judge.next(gate.look)):
        judge.see(samples, {"a": after[samples]}, {"a": np.zeros(len(samples))})
    return judge.seen, judge.outcomes()["a"]


@pytest.mark.parametrize(
    ("discordance", "drop", "outcome", "share"),
    [(0.01, 0.0, "PASS", 1 / 5), (0.03, 0.0, "PASS", 1 / 4), (0.09, 0.0, "PASS", 1 / 2), (0.09, 0.05, "FAIL", 1 / 5)],
)
def test_few_images_decide(benchmark, discordance, drop, outcome, share):
    def simulate():
        return [images_used(discordance, drop, seed) for seed in range(RUNS)]

    found = benchmark.pedantic(simulate, rounds=1)
    used = np.array([images for images, _ in found])
    benchmark.extra_info |= {"images": float(used.mean()), "most": int(used.max()), "runs": RUNS}
    assert sum(each == outcome for _, each in found) >= RUNS - 1
    assert used.mean() <= share * N


def test_it_costs_a_fiftieth_of_autoattack(benchmark, tmp_path):
    def passes():
        done = rbench.evaluate("at-digits", "digits-linf", limit=20, scores=("worst-case", "aa"), runs=tmp_path)
        return {
            p: int((o.forwards + o.backwards).sum()) / 20 for p, o in done.evidence.items() if p in ("worst-case", "aa")
        }

    cost = benchmark.pedantic(passes, rounds=1)
    used = np.mean([images_used(0.01, 0.0, seed)[0] for seed in range(RUNS)])
    ratio = used * cost["worst-case"] / (N * cost["aa"])
    benchmark.extra_info |= {"passes an image": cost, "ratio": ratio}
    assert ratio <= 1 / 50
