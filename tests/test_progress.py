"""Progress on stderr."""

import re
import string

import pytest

from rbench.catalog import Catalog
from rbench.evaluating import task_of
from rbench.planner import Variant
from rbench.progress import Share, progress_bar
from rbench.sources import dataset_of
from rbench.subject import subject_of

NAME = "/".join(string.ascii_lowercase) + "-" + string.ascii_uppercase * 2


def test_a_long_name_is_shown_in_full(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar(show=True) as bar:
        bar.begin(NAME, 0, 2)
        bar.tick(3)
        bar.advance(2)
    shown = capsys.readouterr().err
    assert "…" not in shown
    left, _, _ = zip(*(line.partition(" ") for line in shown.splitlines()), strict=True)
    assert "".join(left).replace("\n", "") == NAME
    assert "2/2" in shown


def test_the_whole_run_goes_by_passes_not_by_samples(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("rbench.progress.PATIENCE", -1)
    shares = {"cheap": Share(10, 1, 2), "dear": Share(10, 20, 78), "none-left": Share(0, 5, 5)}  # of 800 passes
    seen = []

    def look():
        (shown,) = [task.description for task in bar._bar.tasks if task.id == bar._whole]
        assert shown == "whole run"
        seen.append(next(task.completed for task in bar._bar.tasks if task.id == bar._whole))

    with progress_bar(show=True, whole=shares) as bar:
        bar.begin("cheap", 0, 10)
        bar.advance(5)  # the other half is in hand
        look()
        bar.begin("dear", 40, 50)  # 40 were there before
        look()
        bar.tick(50)  # a quarter of the forward passes that it is to take
        look()
        bar.tick(1000)  # more than was expected
        look()
        bar.advance(10)
        look()
        bar.begin("none-left", 3, 3)
        look()
    assert seen == pytest.approx([10, 20, 20 + 780 / 4, 20 + 0.99 * 780, 800, 800])
    shown = capsys.readouterr().err
    assert re.search(r"whole run .* 100% .* left 0:00:00", shown)
    assert "50/50 samples" in shown


def test_one_probe_needs_no_bar_of_the_whole(capsys):
    with progress_bar(show=True, whole={"one": Share(2, 1, 1)}) as bar:
        bar.begin("one", 0, 2)
        bar.advance(2)
    assert "whole" not in capsys.readouterr().err


def test_what_is_left_of_a_run_is_shared_out_by_passes(tmp_path):
    catalog = Catalog.find()
    suite, variant = catalog.suite("digits-linf"), Variant(limit=10)
    subject = subject_of(catalog, "at-digits", variant, suite)
    shares = task_of(catalog, suite, subject, dataset_of(suite), variant, tmp_path).shares()
    assert shares["clean"] == Share(10, 2, 2)  # judged as it is, and as what an attack left: the same
    assert shares["fgsm"] == Share(10, 1, 1 + 1 + 2)
    assert shares["pgd20"] == Share(10, 21, 21 + 20 + 2)
    assert set(shares) == {probe.name for probe in suite.probes}
