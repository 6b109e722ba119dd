"""FSP distances of a network, whatever its images' batches, and what has none."""

import numpy as np
import pandas as pd
import pytest
import torch

from rbench.analysis.asked import Asked
from rbench.analysis.fsp import fsp
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.models.fsp import fsp_distances
from rbench.models.robnet import robnet
from rbench.report.analysis_plots import fsp as plotted
from rbench.rng import Draws
from rbench.types import Threat

THREAT = Threat("linf", "8/255")


def test_distances_are_means_over_all_images_however_they_are_split():
    torch.manual_seed(0)
    model = robnet("small-ours", 2, 3, 10, "digits").eval().requires_grad_(False)
    data = digits("train")
    rows = list(fsp(model, Asked(data, THREAT, 101)))  # 51 and 50
    x, y = load_images(data, np.arange(101), torch.device("cpu"))
    x_adv = pgd(model, x, y, THREAT, rng=Draws(0, "analysis/pgd", torch.arange(101)), stop=False)
    assert [row["cell"] for row in rows] == [0, 1, 2]
    assert [row["distance"] for row in rows] == pytest.approx(fsp_distances(model, x, x_adv), rel=1e-4)
    assert rows[0]["error"] == pytest.approx(float((model(x).argmax(1) != y).double().mean()))
    assert rows[0]["attacked_error"] >= rows[0]["error"]
    axes = plotted(pd.DataFrame([{"model": "a", **row} for row in rows]), "protocol").axes[0]
    assert axes.get_lines()[0].get_ydata().tolist() == pytest.approx([row["distance"] for row in rows])


def test_what_has_no_cells_or_no_threat_is_refused():
    with pytest.raises(UsageError, match="has no cells"):
        next(fsp(torch.nn.Linear(1, 1), Asked(digits("train"), THREAT, 2)))
    with pytest.raises(UsageError, match="a suite with a threat"):
        next(fsp(robnet("small-ours", 2, 3, 10, "digits"), Asked(digits("train"), None, 2)))
