from pathlib import Path

import numpy as np
import pytest
from grids import clean, counted, picked, stills, together
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rbench.metrics import Baseline, ce, error, mce, relative_ce, relative_mce
from rbench.statistics.intervals import clustered, wilson

SHELF = Path(__file__).parents[2] / "suites" / "baselines"
FIVE = (1, 2, 3, 4, 5)
# Hendrycks and Dietterich's tables of ResNet-50 in percent: CE and relative CE, which they print as whole numbers.
RESNET50_CE = {
    "gaussian_noise": (80, 104), "shot_noise": (82, 107), "impulse_noise": (83, 107), "defocus_blur": (75, 97),
    "glass_blur": (89, 126), "motion_blur": (78, 107), "zoom_blur": (80, 110), "snow": (78, 101), "frost": (75, 97),
    "fog": (66, 79), "brightness": (57, 62), "contrast": (71, 89), "elastic_transform": (85, 146),
    "pixelate": (77, 111), "jpeg_compression": (77, 132),
}  # fmt: skip


def base(severities=FIVE, **errors):
    return Baseline("b", "0", error=errors, severities=dict.fromkeys(errors, severities))


def alexnet():
    return Baseline.from_toml(SHELF / "alexnet.toml")


# Two images, two severities: image 0 falls at severity 2, image 1 at both.
FOG = stills([[0, 1], [1, 1]])
SNOW = stills([[0, 0], [0, 1]])


def test_a_hand_computed_corruption_error_by_hand_made_baselines():
    baseline = base((1, 2), fog=0.5, snow=0.8, clean=0.25)
    assert error([FOG], ["fog"]).value == 0.75
    assert error([FOG, SNOW], ["fog", "snow"]).value == 0.5
    assert ce([FOG], ["fog"], baseline).value == 1.5
    assert mce([FOG, SNOW], ["fog", "snow"], baseline).value == pytest.approx((1.5 + 0.25 / 0.8) / 2)


def test_a_hand_computed_relative_corruption_error():
    baseline, good = base((1, 2), fog=0.5, snow=0.8, clean=0.25), clean([0, 1])
    assert relative_ce([good, FOG], ["clean", "fog"], baseline).value == pytest.approx((0.75 - 0.5) / (0.5 - 0.25))
    assert relative_ce([good, SNOW], ["clean", "snow"], baseline).value == pytest.approx((0.25 - 0.5) / (0.8 - 0.25))
    names = ["clean", "fog", "snow"]
    assert relative_mce([good, FOG, SNOW], names, baseline).value == pytest.approx((1 - 0.25 / 0.55) / 2)


def test_the_values_of_the_images_make_the_interval():
    baseline = base((1, 2), fog=0.5, snow=0.8, clean=0.25)
    got = mce([FOG, SNOW], ["fog", "snow"], baseline)
    values = [(0.5 / 0.5 + 0) / 2, (1 / 0.5 + 0.5 / 0.8) / 2]
    assert got.n == 2
    assert got.interval == pytest.approx(clustered(values, (1 / 0.5 + 1 / 0.8) / 2))
    assert got.value == pytest.approx(np.mean(values))
    got = relative_ce([clean([0, 1]), FOG], ["clean", "fog"], baseline)
    assert got.interval == pytest.approx(clustered([(0.5 - 0) / 0.25, (1 - 1) / 0.25], 4, -4))


def test_severities_that_fail_together_tell_no_more_than_one():
    wrong = np.arange(60) < 21
    assert error([clean(wrong)], ["clean"]).interval == pytest.approx(wilson(21, 60))
    assert error([stills(np.repeat(wrong[:, None], 5, axis=1))], ["fog"]).interval == pytest.approx(wilson(21, 60))
    spread = np.random.default_rng(0).random((60, 5)) < 0.35
    low, high = error([stills(spread)], ["fog"]).interval
    assert high - low < np.diff(wilson(21, 60))[0]


def test_no_error_at_all_has_the_interval_of_as_many_images():
    baseline = base(fog=0.5)
    got = ce([counted(0.0, 40)], ["fog"], baseline)
    assert got.value == 0
    assert got.interval == pytest.approx((0, wilson(0, 40).high / 0.5))
    assert ce([counted(1.0, 40)], ["fog"], baseline).interval[1] == 2


def test_alexnet_is_the_unit_of_its_own_errors_exactly():
    baseline, n = alexnet(), 50_000
    lists = {
        "gaussian_noise": [0.69528, 0.82542, 0.93554, 0.98138, 0.99452],
        "fog": [0.67474, 0.7605, 0.84378, 0.8726, 0.945],
        "elastic_transform": [0.52596, 0.70116, 0.55686, 0.64076, 0.80554],
        "jpeg_compression": [0.51002, 0.54718, 0.57294, 0.65458, 0.74778],
    }
    probes = [counted(listed, n) for listed in lists.values()]
    plain = clean(np.arange(n) < 21_750)
    assert [ce([probe], [name], baseline).value for name, probe in zip(lists, probes, strict=True)] == [1.0] * 4
    assert mce(probes, list(lists), baseline).value == 1.0
    assert relative_mce([plain, *probes], ["clean", *lists], baseline).value == 1.0


def test_the_published_tables_of_resnet50_agree_with_each_other_through_the_baseline():
    """Its relative errors follow from its errors, its clean error and AlexNet's, within what the tables round off."""
    baseline, n = alexnet(), 2000
    probes = {name: counted(ce_ / 100 * baseline.error[name], n) for name, (ce_, _) in RESNET50_CE.items()}
    plain = clean(np.arange(n) < round(0.239 * n))
    assert mce(list(probes.values()), list(probes), baseline).value == pytest.approx(0.767, abs=0.005)
    for name, (printed, relative) in RESNET50_CE.items():
        assert round(100 * ce([probes[name]], [name], baseline).value) == printed
        unit = baseline.error[name] - baseline.error["clean"]
        slack = (0.005 * baseline.error[name] + 0.0005) / unit + 0.005 + 0.001
        assert relative_ce([plain, probes[name]], ["clean", name], baseline).value == pytest.approx(
            relative / 100, abs=slack
        )
    names = ["clean", *probes]
    assert relative_mce([plain, *probes.values()], names, baseline).value == pytest.approx(1.05, abs=0.01)


grids = st.tuples(st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(arrays(bool, shape), min_size=1, max_size=3)
)


@given(grids, st.randoms(use_true_random=False))
def test_order_and_names_of_rows_play_no_part(wrongs, random):
    names = ["fog", "snow", "frost"][: len(wrongs)]
    baseline = base(tuple(range(1, wrongs[0].shape[1] + 1)), fog=0.3, snow=0.7, frost=0.9)
    expected = mce([stills(wrong) for wrong in wrongs], names, baseline)
    order = random.sample(range(len(wrongs[0])), len(wrongs[0]))
    shuffled = []
    for wrong in wrongs:
        probe = stills(wrong[order])
        shuffled.append(picked(probe, random.sample(range(len(probe)), len(probe))))
    got = mce(shuffled, names, baseline)
    assert got.value == expected.value
    assert got.interval == pytest.approx(expected.interval)
    most = np.mean([1 / baseline.error[name] for name in names])
    assert 0 <= got.interval[0] <= got.value <= got.interval[1] <= most + 1e-9


@given(grids, st.integers(0, 12))
def test_equal_counts_of_errors_are_exactly_1(wrongs, clean_errors):
    """A model is compared with another one that errs as often, elsewhere."""
    names = ["fog", "snow", "frost"][: len(wrongs)]
    n = len(wrongs[0])
    others = [np.roll(wrong, 1, axis=0) for wrong in wrongs]
    plain = np.arange(n) < min(clean_errors, n)
    evidence = {name: stills(wrong) for name, wrong in zip(names, others, strict=True)}
    baseline = Baseline.from_outcomes("b", "0", {**evidence, "clean": clean(plain[::-1])})
    probes = [stills(wrong) for wrong in wrongs]
    if all(wrong.any() for wrong in wrongs):
        assert mce(probes, names, baseline).value == 1.0
    else:
        with pytest.raises(ValueError, match=r"'b' has error 0 of '(fog|snow|frost)'"):
            mce(probes, names, baseline)
    if all(baseline.error[name] > baseline.error["clean"] for name in names):
        assert relative_mce([clean(plain), *probes], ["clean", *names], baseline).value == 1.0
    else:
        with pytest.raises(ValueError, match=r"no worse under|has error 0 of"):
            relative_mce([clean(plain), *probes], ["clean", *names], baseline)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (stills([[0, 1]] * 4), "'snow' lacks severity 3, which others have"),
        (stills([[0, 1, 1]] * 4, groups=[2, 3, 4]), "lacks severity (4|1), which others have"),
        (picked(stills([[0, 1, 1]] * 4), np.arange(11)), "'snow' does not hold every image exactly once"),
        (picked(stills([[0, 1, 1]] * 4), [*range(11), 0]), "'snow' does not hold every image exactly once"),
        (picked(stills([[0, 1, 1]] * 4), [*range(12), 0]), "'snow' does not hold every image exactly once"),
        (together(stills([[0, 1, 1]] * 4), stills([[1, 1, 1]] * 4)), "'snow' does not hold every image exactly once"),
        (stills([[0, 1, 1]] * 4, start=1), "lacks 1 of the images that others have"),
        (stills([[0, 1, 1]] * 3), "'snow' lacks 1 of the images that others have"),
        (picked(stills([[0, 1, 1]] * 4), []), "'snow' holds no image"),
    ],
)
def test_missing_cells_are_refused_by_the_name_of_the_probe(broken, complaint):
    whole = stills([[0, 1, 1]] * 4)
    for probes, names in (([whole, broken], ["fog", "snow"]), ([broken, whole], ["snow", "fog"])):
        with pytest.raises(ValueError, match=complaint):
            error(probes, names)
        with pytest.raises(ValueError, match=complaint):
            mce(probes, names, base((1, 2, 3), fog=0.5, snow=0.5))


def test_a_baseline_of_other_severities_or_without_the_corruption_is_refused():
    with pytest.raises(ValueError, match="'b' has no error of 'fog'"):
        ce([FOG], ["fog"], base(snow=0.5))
    with pytest.raises(ValueError, match="'b' has its error of 'fog' at severities 1, 2, 3, 4, 5, not 1, 2"):
        ce([FOG], ["fog"], base(fog=0.5))
    with pytest.raises(ValueError, match="'b' has error 0 of 'fog', and nothing can be divided by 0"):
        ce([FOG], ["fog"], base((1, 2), fog=0.0))


def test_relative_errors_ask_for_the_clean_probe_first():
    baseline = base((1, 2), fog=0.5, clean=0.25)
    for probes, names in (([FOG], ["fog"]), ([FOG, clean([0, 1])], ["fog", "clean"]), ([clean([0, 1])], ["clean"])):
        with pytest.raises(ValueError, match="the probes must be 'clean' and then corruptions"):
            relative_mce(probes, names, baseline)
    with pytest.raises(ValueError, match="'clean' lacks images"):
        relative_mce([clean([0, 1], start=1), FOG], ["clean", "fog"], baseline)
    with pytest.raises(ValueError, match="'b' has no error of 'clean'"):
        relative_mce([clean([0, 1]), FOG], ["clean", "fog"], base((1, 2), fog=0.5))
    with pytest.raises(ValueError, match="'b' is no worse under 'fog' than on clean images"):
        relative_mce([clean([0, 1]), FOG], ["clean", "fog"], base((1, 2), fog=0.25, clean=0.25))


def test_the_clean_probe_may_hold_more_images_which_do_not_count():
    baseline = base((1, 2), fog=0.5, clean=0.25)
    fog = stills([[0, 1], [1, 1]], start=2)
    few, many = clean([0, 1], start=2), clean([1, 1, 0, 1, 1])
    both = [relative_ce([plain, fog], ["clean", "fog"], baseline) for plain in (few, many)]
    assert both[0] == both[1]


def test_one_corruption_is_one():
    with pytest.raises(ValueError, match="of one corruption, not of 2"):
        ce([FOG, SNOW], ["fog", "snow"], base((1, 2), fog=0.5, snow=0.5))
    with pytest.raises(ValueError, match="no probe to average over"):
        error([], [])
