"""The suites on the shelf hold to the budgets that papers print."""

from dataclasses import asdict, replace
from fractions import Fraction

import pytest

from rbench.catalog import Catalog

CATALOG = Catalog.find()
SUITES = {name: CATALOG.suite(name) for name in CATALOG.files("suites")}
ATTACKED = {name: suite for name, suite in SUITES.items() if any(probe.attack for probe in suite.probes)}
RADII = {"digits": Fraction(24, 255), "imagenet": Fraction(4, 255)}
TWINS = ["linf", "l2", "awnet", "robnet", "semirobust", "adaptive", "rand"]

# Steps and their length in units of images in [0, 1], as printed; see the comments of the suites for the sources.
PRINTED = {
    ("cifar10-linf", "pgd20"): (20, "2/255"),
    ("cifar10-awnet", "pgd-trades"): (20, "0.003"),
    ("cifar10-awnet", "pgd-sat"): (20, "2/255"),
    ("cifar10-awnet", "cw30"): (30, "0.003"),
    ("cifar10-awnet", "cw30-coarse"): (30, "2/255"),
    ("cifar10-awnet-transfer", "pgd-sat"): (20, "2/255"),
    ("cifar10-awnet-transfer", "cw30"): (30, "0.003"),
    ("cifar100-awnet", "pgd-trades"): (20, "0.003"),
    ("tiny-imagenet-awnet", "pgd-sat"): (20, "2/255"),
    ("cifar10-robnet", "pgd20"): (20, "2/255"),
    ("cifar10-robnet", "pgd100"): (100, "2/255"),
    ("cifar10-robnet", "mifgsm"): (20, "2/255"),
    ("svhn-robnet", "pgd100"): (100, "2/255"),
    ("imagenet-robnet", "pgd10"): (10, "1/255"),
    ("imagenet-robnet", "pgd100"): (100, "1/255"),
    ("cifar10-semirobust", "pgd10"): (10, "2/255"),
    ("cifar100-semirobust", "pgd10"): (10, "2/255"),
    ("cifar10-adaptive", "pgd-trades"): (20, "0.003"),
    ("cifar10-adaptive", "joint"): (20, "0.003"),
}


def probe_of(suite, name):
    return next(probe for probe in suite.probes if probe.name == name)


def length(args, eps):
    """The length of an attack's steps, None if it has no such argument."""
    if "step" in args:
        return Fraction(args["step"])
    return Fraction(args["rel_step"]) * eps if "rel_step" in args else None


@pytest.mark.parametrize(("suite", "probe"), PRINTED)
def test_steps_are_as_many_and_as_long_as_printed(suite, probe):
    steps, step = PRINTED[suite, probe]
    args = probe_of(SUITES[suite], probe).attack.args
    assert (args["steps"], length(args, Fraction(SUITES[suite].threat.eps))) == (steps, Fraction(step))


@pytest.mark.parametrize("suite", ATTACKED)
def test_radii_are_those_of_the_field(suite):
    spec = SUITES[suite]
    expected = {"linf": RADII.get(spec.dataset, Fraction(8, 255)), "l2": Fraction(1, 2)}[spec.threat.norm]
    if (spec.threat.norm, spec.dataset) == ("l2", "digits"):
        expected *= 3
    assert Fraction(spec.threat.eps) == expected


def content(suite, scale):
    """What a suite asks, with its lengths multiplied by `scale`."""
    eps = Fraction(suite.threat.eps)
    probes = [asdict(probe) for probe in suite.probes]
    for probe in probes:
        if probe["attack"] is not None:
            args = dict(probe["attack"]["args"])
            found = length(args, eps)
            args.pop("step", None)
            args.pop("rel_step", None)
            probe["attack"]["args"] = args | {"length": None if found is None else found * scale}
    scores = [(score.name, score.use, score.of, score.higher_is_better) for score in suite.scores]
    return suite.threat.norm, eps * scale, probes, scores, suite.draws, suite.diagnose


@pytest.mark.parametrize("kind", TWINS)
def test_the_twin_on_digits_is_the_suite_of_cifar_with_all_lengths_tripled(kind):
    assert content(SUITES[f"digits-{kind}"], 1) == content(SUITES[f"cifar10-{kind}"], 3)


@pytest.mark.parametrize("data", ["cifar10", "cifar100", "digits"])
def test_transferred_attacks_of_aw_net_are_its_own_on_another_architecture(data):
    """Those of the white-box suite, all from one robust model that is built otherwise than AW-Net and its baseline."""
    own, moved = SUITES[f"{data}-awnet"], SUITES[f"{data}-awnet-transfer"]
    (surrogate,) = {probe.surrogates for probe in moved.probes if probe.attack}
    assert [replace(probe, surrogates=()) for probe in moved.probes] == [probe_of(own, name) for name in ("clean", "pgd-sat", "cw30")]  # fmt: skip # noqa: E501
    assert (moved.threat, moved.data) == (own.threat, own.data)
    card = CATALOG.model(*surrogate)
    assert CATALOG.recipe(card.recipe).attack.threat == own.threat
    assert CATALOG.model(f"awnet-{data}").arch.use != card.arch.use


@pytest.mark.parametrize("suite", ATTACKED)
def test_every_probe_is_shown_and_the_worst_case_is_over_all(suite):
    spec = SUITES[suite]
    names = tuple(probe.name for probe in spec.probes)
    assert names[0] == "clean"
    assert spec.probes[0].attack is None
    shown = [score.of for score in spec.scores if score.use == "rbench.metrics:accuracy"]
    assert shown == [(name,) for name in names]
    worst = [score.of for score in spec.scores if score.use == "rbench.metrics:worst_case"]
    # The draws of a random model differ from probe to probe: there is no least over them.
    assert worst == ([names] if spec.draws == 1 else [])
    assert spec.diagnose


@pytest.mark.parametrize("suite", ATTACKED)
def test_only_suites_for_random_models_draw_and_none_of_their_scores_is_called_aa(suite):
    spec = SUITES[suite]
    assert spec.draws == (20 if suite.endswith("-rand") else 1)
    if spec.draws > 1:
        assert "aa" not in {entry.name for entry in (*spec.probes, *spec.scores)}


@pytest.mark.parametrize("suite", SUITES)
def test_surrogates_are_models_of_the_same_dataset(suite):
    spec = SUITES[suite]
    for probe in spec.probes:
        assert all(CATALOG.model(name).dataset == spec.dataset for name in probe.surrogates)
    assert any(probe.surrogates for probe in spec.probes) == suite.endswith("-transfer")


@pytest.mark.parametrize("suite", ATTACKED)
def test_a_suite_reads_the_dataset_that_it_names(suite):
    spec = SUITES[suite]
    assert suite.startswith(f"{spec.dataset}-")
    assert spec.data.use.rpartition(":")[2] == spec.dataset.replace("-", "_")
    assert spec.data.args["split"] == ("val" if spec.dataset.endswith("imagenet") else "test")
