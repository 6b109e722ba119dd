import pytest
from evidence import outcomes
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial

from rbench.metrics import accuracy, router_gain, transfer_success, w_robust, worst_case
from rbench.statistics.intervals import wilson

flags = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=50)


def test_accuracy_is_the_share_of_correct_samples():
    score = accuracy([outcomes([True, True, False, True])])
    assert (score.value, score.n) == (0.75, 4)
    assert score.interval == wilson(3, 4)


def test_worst_case_is_per_sample_not_per_probe():
    # Each probe alone leaves half of the samples correct; together they leave one in four.
    score = worst_case([outcomes([True, True, False, False]), outcomes([True, False, True, False])])
    assert score.value == 0.25


@given(flags)
def test_worst_case_is_the_mean_of_minima_and_below_every_probe(rows):
    probes = [outcomes(column) for column in zip(*rows, strict=True)]
    score = worst_case(probes)
    assert score.value == pytest.approx(sum(all(row) for row in rows) / len(rows))
    assert score.value <= min(accuracy([probe]).value for probe in probes)


def test_a_worst_case_over_different_samples_is_refused():
    with pytest.raises(ValueError, match="same samples"):
        worst_case([outcomes([True, True]), outcomes([True, True], start=5)])


def test_transfer_asks_only_samples_that_both_models_get_right():
    clean = outcomes([True, True, True, True, False, True])
    attacked = outcomes([True, False, False, False, False, True], group=[1, 1, 1, 0, 1, 0])
    score = transfer_success([clean, attacked])
    assert (score.value, score.n, score.interval) == (2 / 3, 3, wilson(2, 3))


def test_transfer_from_a_probe_of_fewer_samples_looks_them_up():
    clean = outcomes([False, True, True, True])
    score = transfer_success([clean, outcomes([True, False], start=2, group=[1, 1])])
    assert (score.value, score.n) == (0.5, 2)
    assert w_robust([clean, outcomes([True, False], start=2)]).value == 0.75


def test_transfer_without_a_sample_to_ask_is_refused():
    with pytest.raises(ValueError, match="no sample that the model and its surrogates all get right"):
        transfer_success([outcomes([True, False]), outcomes([True, False], group=[0, 1])])


@pytest.mark.parametrize("metric", [transfer_success, w_robust])
def test_a_clean_probe_that_lacks_samples_is_refused(metric):
    with pytest.raises(ValueError, match="lacks samples"):
        metric([outcomes([True, True]), outcomes([True, True], start=1, group=[1, 1])])


def test_w_robust_is_the_mean_of_two_accuracies():
    clean, attacked = outcomes([True, True, True, False]), outcomes([True, False, False, False])
    score = w_robust([clean, attacked])
    assert (score.value, score.n) == (0.5, 4)
    assert score.interval == wilson(2, 4)


@pytest.mark.parametrize(("clean", "robust"), [(0.9, 0.5), (0.95, 0.02), (0.7, 0.6), (1.0, 0.3)])
def test_the_interval_of_w_robust_covers_at_least_95_percent_exactly(clean, robust):
    """Summed over all counts of samples that stand, fall and are wrong from the start."""
    n, covered = 60, 0.0
    for right in range(n + 1):
        for stand in range(right + 1):
            low, high = wilson((right + stand) / 2, n)
            if low <= (clean + robust) / 2 <= high:
                covered += multinomial.pmf([stand, right - stand, n - right], n, [robust, clean - robust, 1 - clean])
    assert covered >= 0.95


@given(flags)
def test_router_gain_is_what_the_worst_case_loses(rows):
    first, *others = (outcomes(column) for column in zip(*rows, strict=True))
    gain = router_gain([first, *others])
    assert gain.value == pytest.approx(accuracy([first]).value - worst_case([first, *others]).value)
    assert gain.interval == wilson(round(gain.value * len(rows)), len(rows))
    with pytest.raises(ValueError, match="same samples"):
        router_gain([first, outcomes([True] * len(rows), start=7)])
