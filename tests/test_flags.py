import numpy as np
import pytest
from evidence import outcomes

from rbench import flags
from rbench.catalog import Catalog

SUITE = Catalog.find().suite("digits-linf")
N = 200


def codes(probe, **evidence):
    return {finding.code for finding in flags.find(SUITE, probe, evidence)}


def attacked(fooled, distance=0.1):
    return outcomes(~np.isin(np.arange(N), fooled), distance=np.full(N, distance))


def test_an_honest_evaluation_raises_nothing():
    clean = outcomes(np.ones(N))
    evidence = {"clean": clean, "fgsm": attacked(range(50)), "pgd20": attacked(range(60)), "aa": attacked(range(61))}
    assert [codes(probe, **evidence) for probe in evidence] == [set()] * 4


def test_a_weaker_attack_that_wins_is_noticed_above_half_a_percent():
    clean = outcomes(np.ones(N))
    one = {"clean": clean, "fgsm": attacked([0, 1]), "pgd20": attacked([1, 2, 3])}
    assert codes("pgd20", **one) == set()
    two = {"clean": clean, "fgsm": attacked([0, 1, 4]), "pgd20": attacked([1, 2, 3])}
    assert codes("pgd20", **two) == {"weaker-attack-wins"}
    assert codes("fgsm", **two) == set()


def test_an_attack_that_moves_nothing_is_an_error():
    evidence = {"clean": outcomes(np.ones(N)), "fgsm": attacked([], distance=0.0)}
    (finding,) = flags.find(SUITE, "fgsm", evidence)
    assert (finding.code, finding.level) == ("nothing-moved", "error")


def test_an_attack_that_fools_nothing_is_suspect_once_there_are_enough_samples():
    assert codes("fgsm", clean=outcomes(np.ones(N)), fgsm=attacked([])) == {"nothing-fooled"}
    few = {"clean": outcomes(np.ones(9)), "fgsm": outcomes(np.ones(9), distance=np.ones(9))}
    assert codes("fgsm", **few) == set()


@pytest.mark.parametrize(("high", "expected"), [(2, set()), (3, {"saturated-logits"})])
def test_saturated_logits_are_noticed_above_one_percent(high, expected):
    margin = np.where(np.arange(N) < high, 18.0, 5.0)
    assert codes("fgsm", clean=outcomes(np.ones(N), margin=margin), fgsm=attacked([0])) == expected


def test_nothing_is_said_about_a_model_that_is_always_wrong():
    wrong = outcomes(np.zeros(N))
    assert codes("fgsm", clean=wrong, fgsm=wrong) == set()
