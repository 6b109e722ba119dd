"""Probes on views of the data: from the suite to scores, through blocks, processes, kills and missing data."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import contents

import rbench
from rbench import api
from rbench.catalog import Catalog
from rbench.data.digits import digits
from rbench.errors import MissingError, StoreError, UsageError
from rbench.types import Call, Probe
from rbench.views import zipf_distance

CODE = """
from dataclasses import dataclass, field
import os
import numpy as np
from rbench.errors import MissingError

@dataclass
class Darker:
    dataset: object
    groups: tuple
    frames: int
    against: str
    provenance: dict = field(default_factory=lambda: {"source": "generated", "table": "none"})
    @property
    def digest(self):
        return f"darker {self.groups} {self.frames}"
    def images(self, samples, group):
        x = self.dataset.images(samples)[:, None].astype(float)
        steps = np.arange(1, self.frames + 1)[None, :, None, None, None]
        return (x / (1 + group * steps)).astype(np.uint8)

def darker(dataset, seed, *, severities=(1, 2), frames=1, against="previous", name="any"):
    if name in os.environ.get("LOST", "").split(","):
        raise MissingError(f"no file {name}.npy")
    return Darker(dataset, tuple(severities), frames, against)
"""
SUITE = """
version = 1
title = "views"
dataset = "digits"
baseline = "standard-digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
[probes.clean]
block = 10
[probes.one]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1, 2], name = "one" }} }}
[probes.two]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1, 3], name = "two" }} }}
[probes.film]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1], frames = 4, against = "{against}" }} }}
[scores.error]
use = "rbench.metrics:error"
of = ["one"]
higher_is_better = false
[scores.ce]
title = "CE"
use = "rbench.metrics:mce"
of = ["one"]
higher_is_better = false
[scores.both]
title = "mCE"
use = "tests_metric.py:pooled"
of = ["one", "two"]
[scores.flips]
use = "rbench.metrics:flip_probability"
of = ["film"]
args = {{ against_first = [{first}] }}
higher_is_better = false
"""
METRIC = """
from rbench.metrics import error
def pooled(probes, names, baseline):
    return error(probes[:1], names[:1])
"""


@pytest.fixture
def views(tmp_path, monkeypatch):
    """A suite with two corruptions and a sequence of images that become darker; returns the catalog."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests_metric.py").write_text(METRIC)
    code = tmp_path / "views_code.py"
    code.write_text(CODE)

    def write(against="previous"):
        shelf = tmp_path / "shelf" / "suites"
        shelf.mkdir(parents=True, exist_ok=True)
        first = '"film"' if against == "first" else ""
        (shelf / "views.toml").write_text(SUITE.format(code=code, against=against, first=first))
        return Catalog.find([tmp_path / "shelf"])

    return write


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


def test_the_baseline_is_run_too_and_is_exactly_one_against_itself(views, small_net, tmp_path):
    catalog = views()
    own = rbench.evaluate("standard-digits", "views", limit=30, catalog=catalog, runs=tmp_path / "own")
    assert own.scores["ce"].value == 1.0
    other = rbench.evaluate(small_net, "views", limit=30, catalog=catalog, runs=tmp_path / "other")
    errors = [evaluated.scores["error"].value for evaluated in (other, own)]
    assert other.scores["ce"].value == pytest.approx(errors[0] / errors[1])
    assert (tmp_path / "other" / "views" / "standard-digits").is_dir()
    assert any("relative to standard-digits" in line for line in other.sheet.protocol)
    shown = rbench.table("views", limit=30, catalog=catalog, runs=tmp_path / "own", form="markdown")
    assert "100.0" in shown


def test_what_is_missing_is_refused_unless_allowed_and_then_starred(views, small_net, monkeypatch, tmp_path):
    catalog = views()
    monkeypatch.setenv("LOST", "two")
    with pytest.raises(MissingError, match=r"no file two\.npy"):
        rbench.evaluate(small_net, "views", limit=10, catalog=catalog)
    run = rbench.evaluate(small_net, "views", limit=10, allow_partial=True, catalog=catalog)
    assert "both" not in run.scores
    assert next(c.title for c in run.sheet.columns if c.key == "views:both*") == "mCE* (2 of 4)"
    assert run.scores["both*"].value == run.scores["error"].value
    assert any("probe two" in line for line in run.left_out)
    assert "two" not in set(run.samples.probe)
    monkeypatch.delenv("LOST")
    whole = rbench.evaluate(small_net, "views", limit=10, allow_partial=True, catalog=catalog)
    assert "both" in whole.scores
    assert whole.folder != run.folder


def test_another_view_is_another_run(views, small_net, monkeypatch):
    catalog = views()
    rbench.evaluate(small_net, "views", limit=10, catalog=catalog)
    code = Path("views_code.py")
    code.write_text(code.read_text().replace('f"darker', 'f"much darker'))
    for name in [name for name in sys.modules if name.startswith("rbench_file_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(StoreError, match="belongs to another evaluation"):
        rbench.evaluate(small_net, "views", limit=10, catalog=catalog)


def test_a_suite_without_a_threat_has_no_eps_and_a_view_no_attack(views, small_net):
    catalog = views()
    with pytest.raises(UsageError, match="no threat"):
        rbench.evaluate(small_net, "views", eps="1/255", catalog=catalog)
    with pytest.raises(UsageError, match="both data and an attack"):
        Probe("p", attack=Call("rbench.attacks.fgsm:fgsm"), data=Call("rbench.data.corrupted:generated"))


def test_a_plan_names_the_views(views):
    rows = api.plan("standard-digits", "views", limit=30, catalog=views())
    assert [(row["probe"], row["left"], row["blocks"]) for row in rows] == [
        (name, 30, 3) for name in ("clean", "one", "two", "film")
    ]
    assert rows[1]["attack"].endswith("views_code.py:darker")


def test_a_score_without_a_value_says_why_and_the_others_stand(views, tmp_path):
    limit = 20  # the baseline errs on none of these images, even if they are a little darker
    catalog = views()
    shelf = tmp_path / "shelf" / "suites" / "views.toml"
    shelf.write_text(shelf.read_text().replace("severities = [1, 2]", "severities = [0]"))
    run = rbench.evaluate("at-digits", "views", limit=limit, catalog=catalog, runs=tmp_path / "runs")
    assert "ce" not in run.scores
    assert run.scores["error"].n == limit
    from rbench.report import render

    reason = "baseline 'standard-digits' has error 0 of 'one', and nothing can be divided by 0"
    assert f"No value, at-digits CE: {reason}." in render(run.sheet, "terminal")
    assert reason in render(run.sheet, "json")
    assert reason in rbench.table("views", limit=limit, catalog=catalog, runs=tmp_path / "runs", form="markdown")
