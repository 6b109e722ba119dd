"""A sweep as a picture: numbers stand to scale, and every mark is the error or the cost that the data hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.comparison import Comparison, Trained
from rbench.report.sweep_plots import swept
from rbench.trials import Arm, Measure, Study, Sweep


def drawn(values):
    """The drawing of a sweep over these values; the n-th one has n more wrong images of ten and costs n + 2 epochs."""
    sweep = Sweep("rho", "m", "ews.rho", tuple(values), "plain", "width")
    study = Study("s", "t", "digits-c", (0, 1, 2), (Measure("clean", ("clean",)),), "clean", (Arm("plain", "m"),), (sweep,))  # fmt: skip # noqa: E501

    def trained(wrong, epochs):
        return (Trained({"clean": np.repeat([1.0, 0.0], [wrong, 10 - wrong])}, epochs, 1, 0.9, None, 1.0, 0.0),) * 3

    arms = {arm.name: trained(index % 10, index + 2) for index, arm in enumerate(sweep.arms)}
    return swept(Comparison(study, 10, {"plain": trained(5, 2), **arms}), sweep)


@pytest.mark.parametrize(
    ("values", "scale", "places"),
    [
        ((0.3, 0.5, 0.9), "linear", [0.3, 0.5, 0.9]),
        ((2, 5, 30), "log", [2, 5, 30]),
        ((0, 1, 30), "linear", [0, 1, 30]),  # zero has no logarithm
        (("found", "random"), "linear", [0, 1]),
        ((True, False), "linear", [0, 1]),
    ],
)
def test_numbers_stand_to_scale_and_choices_side_by_side(values, scale, places):
    for axes in drawn(values).figure.axes:
        assert axes.get_xscale() == scale
        assert axes.get_xticks().tolist() == places
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(value) for value in values]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=6, unique=True))
def test_marks_are_the_data_whatever_the_order(values):
    made = drawn(values)
    left, right = made.figure.axes
    (errors,) = left.containers
    for line, column in ((errors.lines[0], "error"), (right.get_lines()[-1], "cost")):
        seen = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert list(seen) == sorted(values)
        assert seen == pytest.approx(dict(zip(made.frame["rho"], made.frame[column], strict=True)))
    assert right.get_ylim()[1] > max(made.frame["cost"].max(), 1)  # no mark is cut off, nor the line at 1
    assert made.frame["cost"].tolist() == [(index + 2) / 2 for index in range(len(values))]
    ends = {segment[0][0]: (segment[0][1], segment[1][1]) for segment in errors.lines[2][0].get_segments()}
    for row in made.frame.itertuples():
        assert ends[row.rho] == pytest.approx((row.low, row.high))
