"""Headings of analyses lie inside their figures, however many settings they tell."""

import pandas as pd
import pytest

from rbench.report import analysis_plots


@pytest.mark.parametrize("settings", ["few", "; ".join(["a setting = 1"] * 12)])
def test_the_heading_of_a_single_plot_is_not_cut_off(settings):
    row = {"model": "m", "against": "a", "condition": "clean", "norm_f_b": 1.0, "difference": 0.1}
    figure = analysis_plots.distance(pd.DataFrame([row]), settings)
    figure.canvas.draw()
    heading = figure._suptitle.get_window_extent()
    assert figure.bbox.x0 <= heading.x0
    assert heading.x1 <= figure.bbox.x1
    assert heading.y0 > figure.axes[0].get_window_extent().y1
