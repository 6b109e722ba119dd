from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from rbench.attacks._ball import Ball
from rbench.catalog import Catalog, bind
from rbench.doubt.probing import diagnosed
from rbench.engine import GIVEN
from rbench.errors import UsageError
from rbench.planner import Variant, count
from rbench.types import Probe, Threat

SUITE = replace(Catalog.find().suite("digits-linf"), diagnose=True)
# Counted in a run of AutoAttack's standard budget on 500 samples of ews-digits: forwards + backwards.
AUTOATTACK = 3_466_481 + 846_157


def added(suite):
    return [probe for probe in diagnosed(suite).probes if probe not in suite.probes]


def passes(probe):
    """The most forwards and backwards of a probe a sample."""
    args = probe.attack.args
    if probe.attack.use.endswith(":pgd"):
        return args.get("restarts", 1) * (2 * args["steps"] + 1)
    return args.get("queries", args.get("draws")) + 1


def test_only_suites_that_ask_for_it_are_diagnosed():
    plain = replace(SUITE, diagnose=False)
    assert diagnosed(plain) is plain
    assert diagnosed(replace(SUITE, draws=20)).probes == SUITE.probes
    assert Variant(probes=("fgsm",)).apply(SUITE).probes == SUITE.probes[1:2]
    assert Variant().apply(SUITE) == diagnosed(SUITE)


def test_what_is_added_is_named_bound_and_never_a_score():
    probes = added(SUITE)
    assert len(probes) == 11
    for probe in probes:
        assert probe.name.startswith("diag-")
        assert callable(bind(probe.attack, GIVEN))
        assert 50 <= count(500, probe) <= 100
    assert diagnosed(SUITE).scores == SUITE.scores


def test_a_diagnosis_costs_little_of_what_autoattack_costs():
    assert sum(count(500, probe) * passes(probe) for probe in added(SUITE)) < 0.035 * AUTOATTACK


@pytest.mark.parametrize(
    ("threat", "half", "twice", "unbounded"),
    [
        (Threat("linf", "8/255"), "4/255", "16/255", "1"),
        (Threat("linf", "3/4"), "3/8", "1", "1"),
        (Threat("l2", "1/2"), "1/4", "1", "1000"),
    ],
)
def test_radii_are_exact_multiples_and_end_at_the_whole_range(threat, half, twice, unbounded):
    eps = {probe.name: probe.eps for probe in added(replace(SUITE, threat=threat)) if probe.eps is not None}
    wanted = {"diag-half-eps": half, "diag-twice-eps": twice, "diag-unbounded": unbounded}
    assert {name: Fraction(text) for name, text in eps.items()} == {k: Fraction(v) for k, v in wanted.items()}


def test_another_eps_moves_those_of_the_diagnosis_too():
    probes = {probe.name: probe for probe in Variant(eps="2/255").apply(SUITE).probes}
    assert Fraction(probes["diag-half-eps"].eps) == Fraction(1, 255)


def test_a_diagnosis_is_part_of_what_a_run_is_pinned_to():
    assert diagnosed(SUITE).digest != SUITE.digest


def test_names_of_diagnostic_probes_are_taken():
    with pytest.raises(UsageError, match="'diag-' belong to diagnostics"):
        diagnosed(replace(SUITE, probes=(*SUITE.probes, Probe("diag-mine"))))


@pytest.mark.parametrize("length", [1.0, 250.0])
def test_a_gradient_that_vanishes_is_no_step_however_long_steps_are(length):
    """The probe without bound takes steps of 250 in L2."""
    x = torch.full((2, 1, 2, 2), 0.5)
    grad = torch.zeros_like(x)
    grad[1, 0, 0, 0] = 1e-30
    ball = Ball(x, Threat("l2", "1000"))
    assert torch.equal(ball.step(x, grad, length)[0], x[0])
    assert ball.step(x, grad, length)[1].flatten().tolist() == [1.0, 0.5, 0.5, 0.5]
