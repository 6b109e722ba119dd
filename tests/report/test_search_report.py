"""What the page of a search says, on candidates whose truth is planted."""

import numpy as np
import pandas as pd
import pytest

from rbench.candidates import Filter, Search, sampled
from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.report.drawings import draw_card, drawn
from rbench.report.search_plots import drawings
from rbench.report.searches import averaged, report

SEARCH = Search("planted", "Planted", "supernet", "recipe", 60)


@pytest.fixture(scope="module")
def frame():
    """60 candidates, more robust the denser they are; cell 1's distance follows the gap, cell 0's nothing."""
    random, rows = np.random.default_rng(0), []
    for each in sampled(0, 60, 1):
        robust = 0.1 + 0.8 * each.density + 0.01 * random.normal()
        gap = 0.1 + 0.2 * random.random()
        rows.append({
            "candidate": each.index, "cells": " | ".join(each.cells), "density": each.density,
            "convolutions": each.convolutions, "direct": each.direct, "parameters": 1000 + each.index,
            "clean": robust + gap, "robust": robust, "epoch": 0,
            "fsp_before_0": random.random(), "fsp_before_1": 1 - robust, "fsp_after_0": random.random(),
            "fsp_after_1": gap,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values("robust", ascending=False, ignore_index=True)


def test_planted_findings_are_found(frame):
    text = report(SEARCH, frame, {"C": 2}, 200, ["density.png", "density.pdf"])
    assert "60 candidates drawn from seed 0, 60 of them fine-tuned; space: C = 2." in text
    density = text.split("Density and robust accuracy: ")[1]
    assert float(density[:5]) > 0.9
    cells = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith(("| 0 ", "| 1 "))}
    assert "+1.00 [+1.00, +1.00]" in cells["1"]  # after, with the gap
    assert "-1.00 [-1.00, -1.00]" in cells["1"]  # before, with robust accuracy
    assert "+1.00" not in cells["0"]
    assert f"the best candidate is among them" in " ".join(text.split()) or "is not among them" in text  # noqa: F541
    won = float(text.split("would be ")[1].split(" ")[0])
    order = frame.sort_values("fsp_before_1", ignore_index=True)
    both = order.assign(s=order.fsp_before_0 + order.fsp_before_1).sort_values("s", kind="stable")
    assert won == pytest.approx(100 * (both.robust[:15].mean() - frame.robust.mean()), abs=0.06)
    assert "![density](density.png)" in text
    assert "density.pdf" not in text


def test_the_best_and_the_worst_are_shown_once_each(frame):
    text = report(SEARCH, frame.iloc[:7], {}, 100, [])
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == 7
    assert f"{100 * frame.robust[0]:.1f} [" in rows[0]
    assert "Too few candidates for a linear classifier." in text


def test_operations_are_averaged_over_cells():
    cells = ["11 00  00 00 00  00 00 00 00  00 00 00 00 01", "10 00  00 00 00  00 00 00 00  00 00 00 00 01"]
    found = averaged(pd.DataFrame({"cells": [" | ".join(cells)]}))
    assert found.shape == (1, 28)
    assert (found[0, 0], found[0, 1], found[0, 27], found[0, 26]) == (1, 0.5, 1, 0)


def test_a_filtered_search_says_so(frame):
    filtered = Search("planted", "Planted", "supernet", "recipe", 60, filter=Filter(0.25, (-1,)))
    text = report(filtered, frame, {}, 200, [])
    assert "Only the 25% of least distance before fine-tuning in cells -1, summed, were fine-tuned." in text
    assert "Had only" not in text


def test_figures_show_every_candidate(frame):
    made = drawings(SEARCH, frame)
    assert set(made) == {"best-cells", "density", "direct", "fsp", "operations"}
    drawing = drawn(np.array([each.bits[0] for each in sampled(1, 2, 1)]), "two")
    arrows = [len(axes.patches) for axes in drawing.axes]
    assert arrows == [int(each.bits.reshape(-1, 2).any(1).sum()) for each in sampled(1, 2, 1)]
    clean, robust = made["density"]().axes[0].lines
    tuned = frame[frame.robust.notna()]
    assert clean.get_ydata() == pytest.approx(100 * tuned.clean.to_numpy())
    assert robust.get_xydata() == pytest.approx(np.stack([tuned.density, 100 * tuned.robust], axis=1))


def test_cards_of_cells_are_drawn_and_others_refused(tmp_path):
    catalog = Catalog.find()
    draw_card(catalog.model("robnet-large-cifar10"), tmp_path / "cells.pdf")
    assert (tmp_path / "cells.pdf").read_bytes()[:4] == b"%PDF"
    with pytest.raises(UsageError, match="has no cells to draw"):
        draw_card(catalog.model("at-digits"), tmp_path / "cells.png")
    with pytest.raises(UsageError, match=r"ends in \.png or \.pdf"):
        draw_card(catalog.model("robnet-large-cifar10"), tmp_path / "cells.jpg")
