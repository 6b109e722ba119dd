"""Probes on views of the data: from the suite to scores, through blocks, processes, kills and missing data."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from darker import shelve
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import contents

import rbench
from rbench.data.digits import digits
from rbench.errors import StoreError, UsageError
from rbench.types import Call, Probe
from rbench.views import zipf_distance


@pytest.fixture
def views(tmp_path, monkeypatch):
    """A suite with two corruptions and a sequence of images that become darker; returns the catalog."""
    monkeypatch.chdir(tmp_path)
    return partial(shelve, tmp_path)


def logits(net, pixels):
    with torch.no_grad():
        return net(torch.from_numpy(pixels.astype(np.uint8)).float() / 255)


def test_rows_are_those_of_an_evaluation_by_hand(views, small_net):
    run = rbench.evaluate(small_net, "views", limit=25, catalog=views())
    frame = run.samples
    data = digits("test")
    for group in (1, 3):
        rows = frame[(frame.probe == "two") & (frame.group == group)].sort_values("sample")
        by_hand = logits(small_net, (data.pixels[:25] / (1.0 + group))).argmax(1)
        assert rows["sample"].tolist() == list(range(25))
        assert rows.pred.tolist() == by_hand.tolist()
        assert rows.label.tolist() == data.labels[:25].tolist()
    assert (frame[frame.probe == "film"].groupby("sample").frame.apply(list).apply(lambda f: f == [0, 1, 2, 3])).all()
    wrong = frame[frame.probe == "one"]
    assert run.scores["error"].value == pytest.approx((wrong.pred != wrong.label).mean())
    assert run.scores["error"].n == 25
    assert (frame.forwards == 0).all()


@pytest.mark.parametrize("against", ["previous", "first"])
def test_sequences_keep_their_largest_classes_and_distances(views, small_net, against):
    run = rbench.evaluate(small_net, "views", limit=7, catalog=views(against))
    film = run.samples[run.samples.probe == "film"].sort_values(["sample", "frame"])
    flips = []
    for sample, rows in film.groupby("sample"):
        frames = digits("test").pixels[sample] / (1.0 + np.arange(1, 5))[:, None, None, None]
        order = logits(small_net, frames).argsort(dim=1, descending=True, stable=True).numpy()
        assert np.stack(rows.top.to_list()).tolist() == order[:, :5].tolist()
        for j in range(1, 4):
            before = order[0 if against == "first" else j - 1]
            assert rows.zipf.iloc[j] == pytest.approx(by_loop(before, order[j]))
            flips.append(before[0] != order[j][0])
        assert rows.zipf.iloc[0] == 0
    assert run.scores["flips"].value == pytest.approx(np.mean(flips))


def by_loop(before, now):
    """Zipf's distance by its definition: classes listed from first to last, before and now."""
    place = {int(k): rank for rank, k in enumerate(now, start=1)}
    return sum(1 / i * abs(1 / i - 1 / place[int(k)]) for i, k in enumerate(before, start=1))


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(7)), st.permutations(range(7)))
def test_zipfs_distance_is_its_definition(before, now):
    rank = torch.tensor(now).argsort()
    assert float(zipf_distance(torch.tensor(before), rank)) == pytest.approx(by_loop(before, now))


def test_processes_and_interruption_do_not_matter(views, tmp_path):
    catalog = views()
    whole = rbench.evaluate("standard-digits", "views", limit=40, batch=20, catalog=catalog, runs=tmp_path / "a")
    split = rbench.evaluate(
        "standard-digits", "views", limit=40, batch=20, workers=2, catalog=catalog, runs=tmp_path / "b"
    )
    assert contents(whole.folder) == contents(split.folder)
    before = contents(split.folder)
    for lost in ("film/000020.parquet", "film/complete.json", "one/000000.parquet", "one/complete.json"):
        (split.folder / lost).unlink()
    again = rbench.evaluate("standard-digits", "views", limit=40, batch=20, catalog=catalog, runs=tmp_path / "b")
    assert again.fresh_blocks == 2
    assert contents(again.folder) == before


def test_another_view_is_another_run(views, small_net, monkeypatch):
    catalog = views()
    rbench.evaluate(small_net, "views", limit=10, catalog=catalog)
    code = Path("views_code.py")
    code.write_text(code.read_text().replace('f"darker', 'f"much darker'))
    for name in [name for name in sys.modules if name.startswith("rbench_file_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(StoreError, match="belongs to another run"):
        rbench.evaluate(small_net, "views", limit=10, catalog=catalog)


def test_a_suite_without_a_threat_has_no_eps_and_a_view_no_attack(views, small_net):
    catalog = views()
    with pytest.raises(UsageError, match="no threat"):
        rbench.evaluate(small_net, "views", eps="1/255", catalog=catalog)
    with pytest.raises(UsageError, match="both data and an attack"):
        Probe("p", attack=Call("rbench.attacks.fgsm:fgsm"), data=Call("rbench.data.corrupted:generated"))


def test_a_plan_names_the_views(views):
    rows = rbench.plan("standard-digits", "views", limit=30, catalog=views())
    assert [(row["probe"], row["left"], row["blocks"]) for row in rows] == [
        (name, 30, 3) for name in ("clean", "one", "two", "film")
    ]
    assert rows[1]["attack"].endswith("views_code.py:darker")
