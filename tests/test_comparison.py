"""Studies to numbers: errors of images, intervals over seeds and images, differences and their words."""

from dataclasses import replace

import numpy as np
import pytest
from evidence import outcomes as made_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.comparison import Comparison, Trained, image_errors
from rbench.errors import UsageError
from rbench.metrics import w_robust
from rbench.report.trials import report
from rbench.statistics.intervals import crossed
from rbench.trials import Arm, Measure, Study, Sweep


def outcomes(label, pred, sample):
    """Outcomes of some samples, in that order."""
    given = {"sample": sample, "label": label, "pred": pred}
    return replace(made_by_hand([True] * len(sample)), **{key: np.array(value) for key, value in given.items()})


MEASURES = (Measure("clean", ("clean",), "Clean"), Measure("worst", ("clean", "pgd20"), "Worst case", "any"))


def study(**keys):
    given = {"name": "s", "title": "A study", "suite": "digits-linf", "seeds": (0, 1, 2), "measures": MEASURES}
    return Study(**{**given, "first": "worst", "arms": (Arm("a", "m"), Arm("b", "n", "Arm B", ("a",)))} | keys)


def trained(errors, seconds=2.0, search=0.0):
    errors = np.asarray(errors, dtype=float)
    return Trained({"clean": errors, "worst": errors}, 10, 3, 0.9, 0.8, seconds, search)


def test_variance_components_by_hand():
    # Two seeds, two images: means 1/2 and 1/4 by seed, 3/4 and 0 by image.
    table = np.array([[1.0, 0.0], [0.5, 0.0]])
    mean = 0.375
    seeds = 2 * ((0.5 - mean) ** 2 + (0.25 - mean) ** 2) / 1
    ends = (0.75 - mean) ** 2 + (0 - mean) ** 2  # the values seen stand at the ends once more
    images = 2 * (ends + ends) / 1
    fitted = table.mean(1)[:, None] + table.mean(0) - mean
    rest = ((table - fitted) ** 2).sum() / 1
    total = seeds + images - rest
    degrees = total**2 / (seeds**2 + images**2 + rest**2)
    from scipy import stats

    half = stats.t(degrees).ppf(0.975) * (total / 4) ** 0.5
    assert crossed(table) == pytest.approx((mean - half, mean + half))


def test_rounding_does_not_decide_where_two_effects_are_equal():
    """The rest of this table is exactly as large as what its images add."""
    values = np.array([[1, 0, 0, 0], [-1, 0, 1, -1], [1, 1, 1, -1]], dtype=float)
    found = crossed(values)
    for other in (values[::-1], values[:, ::-1], values[::-1, ::-1], -values[::-1]):
        low, high = crossed(other)
        assert (high - low) == pytest.approx(found.high - found.low)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), seeds=st.integers(2, 6), images=st.integers(2, 30))
def test_intervals_hold_the_mean_and_mirror(data, seeds, images):
    values = data.draw(st.lists(st.integers(-1, 1), min_size=seeds * images, max_size=seeds * images))
    table = np.array(values, dtype=float).reshape(seeds, images)
    low, high = crossed(table)
    assert low < table.mean() < high
    assert crossed(-table) == pytest.approx((-high, -low))
    wider = crossed(table, 0.99)
    assert wider.low < low
    assert wider.high > high
    assert crossed(table[::-1, ::-1]) == pytest.approx((low, high))


def test_no_difference_at_all_is_no_certainty():
    low, high = crossed(np.zeros((5, 500)))
    assert 0.002 < high == -low < 0.01  # about three in five hundred


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (5,)])
def test_tables_that_are_none(shape):
    with pytest.raises(ValueError, match="no table of two or more seeds by two or more images"):
        crossed(np.zeros(shape))


@pytest.mark.parametrize(("by_seed", "by_image"), [(0.0, 2.0), (0.5, 2.0), (0.3, 0.5)])
def test_coverage_over_seeds_and_images(by_seed, by_image):
    """Of 400 studies of 5 seeds and 200 images, the intervals of paired differences hold the truth in about 95%."""
    rng = np.random.default_rng(0)

    def errors(size, hard, shift=0.0):
        seeds = rng.normal(0, by_seed, (size[0], 1))
        return rng.random(size) < 1 / (1 + np.exp(2.5 - hard - seeds - shift))

    def gap(size):
        hard = rng.normal(0, by_image, (1, size[1]))
        return errors(size, hard, 0.4).astype(float) - errors(size, hard)

    truth = np.mean([gap((100, 2000)).mean() for _ in range(20)])
    held = [low <= truth <= high for low, high in (crossed(gap((5, 200))) for _ in range(400))]
    assert 0.91 <= np.mean(held) <= 0.995


def test_fixed_seeds_would_promise_too_much():
    """What the interval is for: differences between seeds that no number of images averages out."""
    rng = np.random.default_rng(1)
    table = (rng.random((5, 2000)) < np.array([[0.1], [0.2], [0.1], [0.2], [0.15]])).astype(float)
    low, high = crossed(table)
    pooled = 1.96 * (table.mean() * (1 - table.mean()) / table.size) ** 0.5
    assert high - low > 6 * pooled


def test_errors_of_images_by_hand():
    one = outcomes(label=[0, 1, 2, 0, 1, 2], pred=[0, 1, 0, 0, 0, 0], sample=[0, 1, 2, 0, 1, 2])
    two = outcomes(label=[0, 1, 2], pred=[1, 1, 2], sample=[0, 1, 2])
    mean, worst = Measure("m", ("x", "y")), Measure("w", ("x", "y"), how="any")
    assert image_errors([one], mean).tolist() == [0, 0.5, 1]
    assert image_errors([one, two], mean).tolist() == [0.5, 0.25, 0.5]
    assert image_errors([one, two], worst).tolist() == [1, 1, 1]
    assert image_errors([two], worst).tolist() == [1, 0, 0]
    assert image_errors([outcomes(label=[2, 0], pred=[2, 1], sample=[7, 3])], mean).tolist() == [1, 0]  # by sample


def test_the_mean_of_clean_and_robust_errors_is_that_of_w_robust_accuracy():
    clean = outcomes(label=[0, 1, 2, 3], pred=[0, 1, 2, 0], sample=[0, 1, 2, 3])
    attacked = outcomes(label=[0, 1, 2, 3], pred=[0, 0, 0, 0], sample=[0, 1, 2, 3])
    errors = image_errors([clean, attacked], Measure("w", ("clean", "pgd20")))
    assert errors.tolist() == [0, 0.5, 0.5, 1]
    assert 1 - errors.mean() == w_robust([clean, attacked]).value == 0.5


@pytest.mark.parametrize("samples", [[0, 1], [0, 1, 3], [0, 1, 1]])
def test_other_images_are_refused(samples):
    one = outcomes(label=[0, 1, 2], pred=[0, 1, 2], sample=[0, 1, 2])
    other = outcomes(label=[0] * len(samples), pred=[0] * len(samples), sample=samples)
    with pytest.raises(ValueError, match="the probes of measure 'm' do not hold the same images"):
        image_errors([one, other], Measure("m", ("x", "y")))


def test_differences_are_paired_and_named():
    base = [trained(errors * 25) for errors in ([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0])]
    better = [trained([0, 0, 0, 1] * 25, seconds=2.2, search=4.0)] * 3
    found = Comparison(study(), 100, {"a": tuple(base), "b": tuple(better)})
    difference = found.difference("b", "a", "worst")
    assert difference.value == pytest.approx(-0.5 / 3)
    assert difference.ahead == 2
    assert difference.interval.low < -0.5 / 3 < difference.interval.high
    assert (difference.verdict == "better") == (difference.interval.high < 0)
    assert found.error("a", "worst")[0] == pytest.approx(1.25 / 3)
    arm = found.study.arms[1]
    assert found.cost(arm) == pytest.approx((10 * 2.2 + 4) / 20)
    assert found.cost(found.study.arms[0]) == 1
    frame = found.differences_frame
    assert frame.query("measure == 'worst'").points.item() == pytest.approx(-50 / 3)
    assert list(found.seeds_frame.worst) == pytest.approx([50, 75, 0, 25, 25, 25])


def test_the_report_says_all_of_it():
    arms = {"a": (trained([0, 1] * 50),) * 3, "b": (trained([0, 0] * 50),) * 3}
    text = report(Comparison(study(), 100, arms), "digits-linf@2: 100 images.", ["x.pdf", "x.png"])
    assert text.startswith("# A study\n\ndigits-linf@2: 100 images.\n")
    assert "| a     | 50.0 [" in text
    assert "| Arm B - a    | Worst case | -50.00" in text
    assert "3 of 3        | **better** |" in text
    assert "![x](x.png)" in text
    assert "`rbench study s`" in text


def test_sweeps_are_arms():
    sweep = Sweep("rho", "m", "ews.rho", (0.5, 0.9), "a", "width")
    made = study(sweeps=(sweep,))
    assert [arm.name for arm in made.every] == ["a", "b", "rho=0.5", "rho=0.9"]
    assert made.every[3].override == {"ews.rho": 0.9}
    assert made.every[3].against == ("a",)
    assert made.probes == ("clean", "pgd20")
    assert made.only(3) == made


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"seeds": (0,)}, "seeds = .* must be 3 or more different ones"),
        ({"seeds": (1, 1, 2)}, "must be 3 or more different ones"),
        ({"arms": (Arm("a", "m"), Arm("a", "n"))}, "two arms named 'a'"),
        ({"arms": (Arm("a", "m", against=("b",)),)}, "no other arm named 'b' in study 's': arm 'a'"),
        ({"arms": (Arm("a", "m", against=("a",)),)}, "no other arm named 'a'"),
        ({"first": "pgd"}, "no measure named 'pgd' in study 's': first"),
    ],
)
def test_studies_that_make_no_sense(keys, message):
    with pytest.raises(UsageError, match=message):
        study(**keys)
