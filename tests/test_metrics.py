import pytest
from evidence import outcomes
from hypothesis import given
from hypothesis import strategies as st

from rbench.metrics import accuracy, worst_case
from rbench.stats import wilson

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
