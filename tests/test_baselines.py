"""What the scores of a suite compare with, and what is left of them where data are missing."""

import sys
from functools import partial

import pytest
import torch
from darker import shelve

import rbench
from rbench.errors import MissingError, StoreError, UsageError
from rbench.planner import Variant
from rbench.sheet import collect
from rbench.tables import TableSpec


@pytest.fixture
def views(tmp_path, monkeypatch):
    """A suite with two corruptions and a sequence of images that become darker; returns the catalog."""
    monkeypatch.chdir(tmp_path)
    return partial(shelve, tmp_path)


def test_the_baseline_is_run_too_and_is_exactly_one_against_itself(views, small_net, tmp_path):
    catalog = views()
    own = rbench.evaluate("standard-digits", "views", limit=30, catalog=catalog, runs=tmp_path / "own")
    assert own.scores["ce"].value == 1.0
    other = rbench.evaluate(small_net, "views", limit=30, catalog=catalog, runs=tmp_path / "other")
    errors = [evaluated.scores["error"].value for evaluated in (other, own)]
    assert other.scores["ce"].value == pytest.approx(errors[0] / errors[1])
    assert (tmp_path / "other" / "views" / "standard-digits").is_dir()
    assert any("relative to standard-digits" in line for line in other.sheet.protocol)
    assert f"Made with rbench {rbench.__version__}, torch {torch.__version__}" in other.sheet.protocol
    shown = rbench.table("views", limit=30, catalog=catalog, runs=tmp_path / "own", form="markdown")
    assert "100.0" in shown
    assert "views: relative to standard-digits (" in shown


def test_captions_name_the_baseline_of_relative_scores_alone(views, tmp_path):
    catalog, runs = views(), tmp_path / "own"
    rbench.evaluate("standard-digits", "views", limit=30, catalog=catalog, runs=runs)
    for score, said in (("error", False), ("ce", True)):
        spec = TableSpec("t", "T", (f"views:{score}",), ("standard-digits",))
        protocol = collect(catalog, spec, runs, Variant(limit=30)).protocol
        assert any("relative to standard-digits" in line for line in protocol) is said


def test_what_is_missing_is_refused_unless_allowed_and_then_starred(views, small_net, monkeypatch, tmp_path):
    catalog = views()
    monkeypatch.setenv("LOST", "two")
    with pytest.raises(MissingError, match=r"no file two\.npy"):
        rbench.evaluate(small_net, "views", limit=10, catalog=catalog)
    run = rbench.evaluate(small_net, "views", limit=10, allow_partial=True, catalog=catalog)
    assert "both" not in run.scores
    assert next(c.title for c in run.sheet.columns if c.key == "views:both*") == "mCE* (2 of 4)"
    assert run.scores["both*"].value == run.scores["error"].value
    assert run.left_out == ("probe two: no file two.npy",)
    assert "two" not in set(run.samples.probe)
    monkeypatch.delenv("LOST")
    whole = rbench.evaluate(small_net, "views", limit=10, allow_partial=True, catalog=catalog)
    assert "both" in whole.scores
    assert whole.folder != run.folder


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


def test_a_baseline_of_other_images_is_none(views, monkeypatch, tmp_path):
    catalog = views()
    rbench.evaluate("at-digits", "views", limit=30, catalog=catalog)
    assert "-" not in row_of(rbench.table("views", limit=30, catalog=catalog, form="markdown"), "at-digits")
    other_images(tmp_path, monkeypatch)
    rbench.evaluate("standard-digits", "views", limit=30, catalog=catalog, fresh=True)
    assert "-" in row_of(rbench.table("views", limit=30, catalog=catalog, form="markdown"), "at-digits")
    with pytest.raises(StoreError, match=r"at-digits.*its views\.film\.digest is"):
        rbench.evaluate("at-digits", "views", limit=30, catalog=catalog)


def test_fresh_sets_a_stale_baseline_aside_too(views, monkeypatch, tmp_path):
    catalog = views()
    rbench.evaluate("at-digits", "views", limit=30, catalog=catalog)
    other_images(tmp_path, monkeypatch)
    with pytest.raises(StoreError, match=r"standard-digits.*add --fresh"):
        rbench.evaluate("at-digits", "views", limit=30, catalog=catalog)
    run = rbench.evaluate("at-digits", "views", limit=30, catalog=catalog, fresh=True)
    assert run.scores["ce"].value > 0
    kept = rbench.evaluate("at-digits", "views", limit=30, catalog=catalog, fresh=True)
    assert kept.fresh_blocks == run.fresh_blocks / 2  # a baseline that is settled stays


def row_of(table, model):
    """The cells of one model in a Markdown table."""
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {model}:")]
    return [cell.strip() for cell in row.split("|")]


def other_images(folder, monkeypatch):
    """From now on the views are of other images, of which the code's own digest does not tell."""
    import rbench.current

    digests = rbench.current.source_digest
    before = digests(f"{folder / 'views_code.py'}:darker")
    code = folder / "views_code.py"
    code.write_text(code.read_text().replace('f"darker', 'f"much darker'))
    monkeypatch.setattr("rbench.current.source_digest", lambda use: before if "views_code" in use else digests(use))
    for name in [name for name in sys.modules if name.startswith("rbench_file_")]:
        monkeypatch.delitem(sys.modules, name)


def test_a_plan_lists_the_baseline_first(views):
    rows = rbench.plan("at-digits", "views", limit=30, catalog=views())
    names = ["clean", "one", "two", "film"]
    assert [row["probe"] for row in rows] == [*(f"standard-digits: {name}" for name in names), *names]


def test_nothing_left_is_an_error(views, small_net, monkeypatch):
    monkeypatch.setenv("LOST", "any,one,two")
    with pytest.raises(MissingError, match=r"all of suite 'views' is missing\. no file one\.npy"):
        rbench.evaluate(small_net, "views", limit=10, allow_partial=True, catalog=views())


def test_code_may_not_take_the_name_of_a_model(views, tmp_path):
    (tmp_path / "standard.py").write_text(
        "from rbench import load_model\ndef digits():\n    return load_model('at-digits')\n"
    )
    with pytest.raises(UsageError, match="would be called 'standard-digits'"):
        rbench.evaluate("standard.py:digits", "views", limit=10, catalog=views())
