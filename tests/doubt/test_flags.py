from dataclasses import replace

import numpy as np
import pytest
from evidence import outcomes

from rbench.catalog import Catalog
from rbench.doubt import flags
from rbench.doubt.codes import CODES, diagnostic
from rbench.doubt.probing import diagnosed
from rbench.errors import UsageError
from rbench.statistics.intervals import wilson
from rbench.types import Call, Probe, Reported, Score

SUITE = diagnosed(replace(Catalog.find().suite("digits-linf"), diagnose=True))
N = 200
FGSM, PGD, AA = (Call(f"rbench.attacks.{name}:{name}") for name in ("fgsm", "pgd", "autoattack"))
HONEST = {"samples": 60.0, "twin_flips": 0, "zero_gradients": 0, "bad_gradients": 0, "cosine": 0.98, "fd_error": 1e-9,
          "fd_signs": 0, "unexplained": 0.2, "unfooled": 50, "falling": 0}  # fmt: skip


def found(findings):
    return {finding.code: finding.level for finding in findings}


def of_probe(probe, **evidence):
    return found(flags.of_probe(SUITE, probe, evidence))


def of_run(measured=None, **evidence):
    evidence = {name.replace("_", "-"): outcomes for name, outcomes in evidence.items()}
    return found(flags.of_run(SUITE, evidence, measured))


def attacked(fooled, n=N, **columns):
    return outcomes(~np.isin(np.arange(n), fooled), **{"distance": np.full(n, 0.1), **columns})


def diagnosis(**changed):
    """The evidence of an honest evaluation, with what a test changes."""
    honest = {
        "clean": outcomes(np.ones(N)), "fgsm": attacked(range(50)), "pgd20": attacked(range(60)),
        "diag_margin": attacked(range(60), 100), "diag_ce": attacked(range(58), 100),
        "diag_double": attacked(range(60), 100), "diag_restarts": attacked(range(61), 100),
        "diag_half_step": attacked(range(60), 100), "diag_twice_step": attacked(range(59), 100),
        "diag_half_eps": attacked(range(20), 100), "diag_twice_eps": attacked(range(90), 100),
        "diag_unbounded": attacked(range(100), 100), "diag_square": attacked(range(40), 50),
        "diag_noise": attacked(range(3), 50), "aa": attacked(range(61)),
    }  # fmt: skip
    return honest | changed


def test_an_honest_evaluation_raises_nothing():
    evidence = diagnosis()
    assert [of_probe(probe, **evidence) for probe in ("clean", "fgsm", "pgd20", "aa")] == [{}] * 4
    assert of_run(HONEST, **evidence) == {}


def test_a_weaker_attack_that_wins_is_noticed_above_half_a_percent():
    clean = outcomes(np.ones(N))
    one = {"clean": clean, "fgsm": attacked([0, 1]), "pgd20": attacked([1, 2, 3])}
    assert of_probe("pgd20", **one) == {}
    two = {"clean": clean, "fgsm": attacked([0, 1, 4]), "pgd20": attacked([1, 2, 3])}
    assert of_probe("pgd20", **two) == {"RB124": "warn"}
    assert of_probe("fgsm", **two) == {}
    many = {"clean": clean, "fgsm": attacked(range(10)), "pgd20": attacked([1, 2, 3])}
    assert of_probe("pgd20", **many) == {"RB124": "error"}
    iterative = {"clean": clean, "pgd20": attacked(range(10)), "aa": attacked([1, 2, 3])}
    assert of_probe("aa", **iterative) == {"RB141": "warn"}


@pytest.mark.parametrize(
    ("weak", "strong", "code"),
    [
        (Probe("a", FGSM), Probe("b", PGD), "RB124"),
        (Probe("a", PGD), Probe("b", AA), "RB141"),
        (Probe("a", PGD), Probe("b", Call(PGD.use, {"steps": 100})), "RB141"),
        (Probe("a", Call("mine.py:attack")), Probe("b", PGD), "RB141"),
        (Probe("a", PGD), Probe("b", Call(PGD.use, {"loss": "margin"})), None),
        (Probe("a", FGSM), Probe("b", Call("rbench.attacks.deepfool:deepfool")), None),
        (Probe("a", PGD, surrogates=("at-digits",)), Probe("b", PGD), None),
        (Probe("a", PGD, eps="8/255"), Probe("b", PGD), None),
    ],
)
def test_only_attacks_that_should_find_the_same_are_compared(weak, strong, code):
    suite = replace(SUITE, probes=(SUITE.probes[0], weak, strong))
    evidence = {"clean": outcomes(np.ones(N)), "a": attacked(range(4)), "b": attacked([9])}
    assert found(flags.of_probe(suite, "b", evidence)) == ({code: "warn"} if code else {})


def test_a_transferred_attack_may_fool_nothing():
    suite = replace(SUITE, probes=(SUITE.probes[0], Probe("a", PGD, surrogates=("at-digits",)), Probe("b", PGD)))
    evidence = {"clean": outcomes(np.ones(N)), "a": attacked([]), "b": attacked([])}
    assert found(flags.of_probe(suite, "a", evidence)) == {}
    assert found(flags.of_probe(suite, "b", evidence)) == {"RB143": "warn"}


def test_an_attack_that_moves_nothing_is_an_error():
    evidence = {"clean": outcomes(np.ones(N)), "fgsm": attacked([], distance=np.zeros(N))}
    assert of_probe("fgsm", **evidence) == {"RB142": "error"}


def test_an_attack_that_fools_nothing_is_suspect_once_there_are_enough_samples_unless_eps_explains_it():
    silent = {"clean": outcomes(np.ones(N)), "fgsm": attacked([]), "diag-margin": attacked([], 100)}
    assert of_probe("fgsm", **silent) == {"RB143": "warn"}
    small = silent | {"diag-unbounded": attacked(range(100), 100)}
    assert of_probe("fgsm", **small) == {"RB143": "info"}
    assert of_probe("fgsm", **small | {"diag-unbounded": attacked(range(99), 100)}) == {"RB143": "warn"}
    assert of_probe("fgsm", **small | {"diag-margin": attacked([0], 100)}) == {"RB143": "warn"}
    few = {"clean": outcomes(np.ones(9)), "fgsm": outcomes(np.ones(9), distance=np.ones(9))}
    assert of_probe("fgsm", **few) == {}


@pytest.mark.parametrize(("high", "expected"), [(2, {}), (3, {"RB110": "warn"})])
def test_saturated_logits_are_noticed_above_one_percent(high, expected):
    margin = np.where(np.arange(N) < high, 18.0, 5.0)
    clean = outcomes(np.ones(N), margin=margin)
    assert of_run(clean=clean, fgsm=attacked([0])) == expected


def test_saturation_that_cost_nothing_is_only_said():
    clean = outcomes(np.ones(N), margin=np.full(N, 20.0))
    assert of_run(clean=clean, fgsm=attacked(range(N))) == {"RB110": "info"}
    assert of_run(**diagnosis(clean=clean)) == {"RB110": "info"}
    assert of_run(**diagnosis(clean=clean, diag_margin=attacked(range(65), 100))) == {"RB110": "warn", "RB131": "warn"}


def test_nothing_is_said_about_a_model_that_is_always_wrong():
    wrong = outcomes(np.zeros(N))
    assert of_probe("fgsm", clean=wrong, fgsm=wrong) == {}
    assert of_run(clean=wrong, fgsm=wrong) == {}


@pytest.mark.parametrize(
    ("probe", "fine", "warn", "error", "code"),
    [
        ("diag_double", range(61, 62), range(61, 63), range(61, 65), "RB119"),
        ("diag_restarts", range(61, 62), range(61, 63), range(61, 67), "RB120"),
        ("diag_half_step", range(61, 62), range(61, 63), range(61, 67), "RB121"),
        ("diag_twice_step", range(61, 62), range(61, 63), range(61, 67), "RB121"),
        ("diag_half_eps", range(60, 61), range(60, 62), range(60, 64), "RB122"),
    ],
)
def test_more_effort_or_less_room_that_finds_more_is_noticed_from_the_second_sample(probe, fine, warn, error, code):
    """Sample 60 falls to AutoAttack and to restarts: what the suite finds itself is no news, but for less room."""
    for extra, level in ((fine, None), (warn, "warn"), (error, "error")):
        got = of_run(**diagnosis(**{probe: attacked(extra, 100)}))
        assert got == ({code: level} if level else {}), extra


@pytest.mark.parametrize(
    ("probe", "code", "levels"),
    [("diag_square", "RB125", (None, "warn", "error")), ("diag_noise", "RB126", (None, "warn", "error"))],
)
def test_attacks_without_gradients_that_win_are_noticed_even_if_the_ensemble_finds_the_same(probe, code, levels):
    evidence = diagnosis(diag_restarts=attacked(range(40), 100), aa=attacked(range(N)))
    for name in ("fgsm", "pgd20"):
        evidence[name] = attacked(range(40))
    for name in ("margin", "ce", "double", "half_step", "twice_step", "half_eps"):
        evidence[f"diag_{name}"] = attacked(range(40), 100)
    for count, level in enumerate(levels, 1):
        got = of_run(**(evidence | {probe: attacked(range(40, 40 + count), 50)}))
        assert got.get(code) == level, count


def test_a_transferred_attack_that_wins_is_noticed():
    suite = diagnosed(replace(Catalog.find().suite("digits-transfer"), diagnose=True))
    (transfer, *_) = [p.name for p in suite.probes if p.surrogates]
    evidence = {"clean": outcomes(np.ones(N)), "diag-margin": attacked(range(60)), transfer: attacked(range(64))}
    assert found(flags.of_run(suite, evidence))["RB129"] == "error"
    evidence[transfer] = attacked(range(61))
    assert "RB129" not in found(flags.of_run(suite, evidence))


def test_survivors_of_an_attack_without_bound_are_an_error_from_the_second():
    assert of_run(**diagnosis(diag_unbounded=attacked(range(99), 100))) == {}
    assert of_run(**diagnosis(diag_unbounded=attacked(range(98), 100))) == {"RB123": "error"}


def test_a_gap_between_losses_is_noticed_above_five_percent():
    assert of_run(**diagnosis(diag_ce=attacked(range(55), 100))) == {}
    assert of_run(**diagnosis(diag_ce=attacked(range(54), 100))) == {"RB131": "warn"}


@pytest.mark.parametrize(
    ("key", "fine", "bad", "code", "level"),
    [
        ("twin_flips", 1, 2, "RB103", "warn"),
        ("zero_gradients", 1, 2, "RB112", "warn"),
        ("zero_gradients", 3, 4, "RB112", "error"),
        ("bad_gradients", 0, 1, "RB113", "error"),
        ("fd_error", 0.1, 0.11, "RB114", "error"),
        ("fd_signs", 0.1, 0.11, "RB114", "error"),
        ("cosine", 0.1, 0.09, "RB115", "warn"),
        ("unexplained", 0.8, 0.81, "RB116", "warn"),
        ("falling", 2, 3, "RB118", "warn"),
        ("falling", 10, 11, "RB118", "error"),
    ],
)
def test_measurements_speak_beyond_their_thresholds(key, fine, bad, code, level):
    assert of_run(HONEST | {key: fine}, **diagnosis()).get(code) != level
    assert of_run(HONEST | {key: bad}, **diagnosis()) == {code: level}


def test_a_clean_accuracy_that_is_not_the_reported_one_is_suspect():
    def clean(k, n):
        return Score(k / n, wilson(k, n), n)

    claim = Reported("digits-linf", "clean", 99.0, "a paper, table 1")
    assert flags.of_claim(clean(95, 100), None) == ()
    assert flags.of_claim(clean(98, 100), claim) == ()
    assert found(flags.of_claim(clean(950, 1000), claim)) == {"RB139": "warn"}
    assert flags.of_claim(clean(9_872_000, 10_000_000), claim) == ()  # significant, and within 0.3 points


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code):
    text = diagnostic(code).explanation()
    assert diagnostic(CODES[code].name) is diagnostic(code.lower()) is CODES[code]
    for word in ("computed", "threshold", "meaning", "what to do", "source"):
        line = next(line for line in text.splitlines() if line.strip().startswith(word))
        assert len(line) > len(word) + 10


def test_a_misspelt_code_gets_its_nearest_match():
    with pytest.raises(UsageError, match="Did you mean 'RB114'"):
        diagnostic("RB1114")
    with pytest.raises(UsageError, match=r"Did you mean 'grad\.fd'"):
        diagnostic("grad.df")
