import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rbench.catalog import Catalog
from rbench.pages import Cell, Column, Sheet
from rbench.report import render
from rbench.report.cells import lower_heading, spans
from rbench.sheet import column_of
from rbench.statistics.intervals import clustered, wilson
from rbench.types import Finding, Score

GOLDEN = Path(__file__).parent / "golden"
FROST = Finding("RB151", "warn", "frost is not the authors'.")
COLUMNS = (
    Column("c:clean", "Clean error", higher_is_better=False),
    Column("c:mce", "mCE", higher_is_better=False, relative=True),
    Column("c:gauss", "Gauss.", higher_is_better=False, group="Noise", detail=True),
    Column("c:shot", "Shot", higher_is_better=False, group="Noise", detail=True),
    Column("c:frost", "Frost", higher_is_better=False, group="Weather", detail=True),
)
ERRORS = {"alexnet": (0.44, 1.0, 1.0, 1.0, 1.0), "resnet50": (0.24, 0.767, 0.8, 0.824, 0.75)}


def score(value, *findings, n=500):
    clean = value < 0.5
    return Score(value, wilson(value * n, n) if clean else clustered([value] * n, 1.2), n, findings)


@pytest.fixture
def sheet():
    cells = {}
    for model, errors in ERRORS.items():
        for column, error in zip(COLUMNS, errors, strict=True):
            cells[model, column.key] = Cell(score(error, *[FROST] * (column.title in ("mCE", "Frost"))), 500)
    rows = (("alexnet", "AlexNet"), ("resnet50", "ResNet-50 & co"), ("none", "Not yet"))
    cells |= {("none", column.key): Cell(missing="rbench eval --suite c --model none") for column in COLUMNS}
    return Sheet("c", "ImageNet-C", ("c@1: imagenet, n = 500, seed 0",), rows, COLUMNS, cells)


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex"])
def test_details_are_as_they_were_looked_at(sheet, form):
    assert render(sheet, form) == (GOLDEN / f"details-{form}.txt").read_text()


def test_the_details_of_a_single_model_are_as_they_were_looked_at(sheet):
    one = replace(sheet, rows=sheet.rows[1:2], cells={k: c for k, c in sheet.cells.items() if k[0] == "resnet50"})
    assert render(one, "terminal") == (GOLDEN / "details-single.txt").read_text()


def test_only_details_go_without_interval_and_the_best_is_the_lowest(sheet):
    line = next(line for line in render(sheet, "markdown").splitlines() if line.startswith("| resnet50"))
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    assert cells[2:] == ["**80.0**", "**82.4**", "75.0†"]
    assert re.fullmatch(r"\*\*24\.0\*\* \[20\.\d, 27\.\d\]", cells[0])
    assert re.fullmatch(r"76\.7† \[7\d\.\d, 7\d\.\d\]", cells[1])
    assert render(sheet, "markdown").count("**") == 2 * (len(COLUMNS) - 2)  # mCE and frost are in doubt


def test_programs_get_groups_and_the_intervals_of_details(sheet):
    got = json.loads(render(sheet, "json"))
    assert [column.get("group") for column in got["columns"]] == [None, None, "Noise", "Noise", "Weather"]
    assert got["cells"]["resnet50"]["c:shot"]["interval"] == pytest.approx(list(clustered([0.824] * 500, 1.2)))
    assert "resnet50,c:shot,0.824,0.8" in render(sheet, "csv")


def test_only_shares_of_images_are_called_accuracies_with_wilsons_interval(sheet):
    wilsons, means = "Accuracy in %, with Wilson's 95% interval", "In %, with 95% intervals in brackets: an image"

    def said(columns):
        found = render(replace(sheet, columns=columns, cells={k: c for k, c in sheet.cells.items() if k[1] in {c.key for c in columns}}), "terminal")  # fmt: skip # noqa: E501
        return [text in found for text in (wilsons, means)]

    accuracy = replace(COLUMNS[0], title="Clean", higher_is_better=True)
    assert said((accuracy,)) == [True, False]
    assert said(COLUMNS[:1]) == [False, True]  # an error is no accuracy
    assert said((accuracy, COLUMNS[2])) == [False, True]
    assert said(COLUMNS[:2]) == [False, True]
    assert said((COLUMNS[0], *COLUMNS[2:])) == [False, True]
    nothing = {key: Cell(missing="rbench eval --suite c --model none") for key in sheet.cells}
    assert means in render(replace(sheet, cells=nothing), "terminal")
    assert said((replace(accuracy, accuracy=False),)) == [False, True]  # whatever its interval


@pytest.mark.parametrize(("use", "accuracy"), [("accuracy", True), ("worst_case", True), ("w_robust", False), ("transfer_success", False)])  # fmt: skip # noqa: E501
def test_the_score_says_whether_it_is_an_accuracy(use, accuracy):
    suites = [Catalog.find().suite(name) for name in ("digits-awnet", "digits-transfer", "digits-linf")]
    found = [column_of(suite, s).accuracy for suite in suites for s in suite.scores if s.use == f"rbench.metrics:{use}"]
    assert found
    assert set(found) == {accuracy}


def test_baselines_are_named_only_where_a_score_compares_with_one(sheet):
    alone = replace(sheet, columns=tuple(replace(column, relative=False) for column in COLUMNS))
    for form in ("terminal", "markdown", "latex"):
        assert "however often it is seen; baselines count as exact" in render(sheet, form)
        assert "however often it is seen" in render(alone, form)
        assert "baselines" not in render(alone, form)
    assert [c.get("relative") for c in json.loads(render(sheet, "json"))["columns"]] == [None, True, None, None, None]


@pytest.mark.parametrize(("name", "relative"), [("digits-c", {"mce"}), ("cifar10-c", set()), ("digits-linf", set())])
def test_only_columns_that_compare_with_a_baseline_are_relative(name, relative):
    suite = Catalog.find().suite(name)
    columns = {score.name: column_of(suite, score) for score in suite.scores}
    assert {key for key, column in columns.items() if column.relative and not column.group} == relative
    assert not columns["clean"].relative


def test_neighbours_of_another_suite_or_direction_have_a_heading_of_their_own(sheet):
    other = Column("d:gauss", "Gauss.", higher_is_better=False, group="Weather", detail=True)
    better = Column("d:kept", "Kept", higher_is_better=True, group="Weather", detail=True)
    columns = (*COLUMNS, other, better)
    wide = replace(sheet, columns=columns, cells=sheet.cells | {(m, c.key): Cell() for m, _ in sheet.rows for c in columns[5:]})  # fmt: skip # noqa: E501
    shape = [(title, len(columns)) for title, columns in spans(wide)]
    assert shape == [("Clean error ↓", 1), ("mCE ↓", 1), ("Noise ↓", 2), ("Weather ↓", 1), ("Weather", 2)]
    assert [lower_heading(wide, column) for column in columns[4:]] == ["Frost", "Gauss. ↓", "Kept ↑"]
    assert r"\cmidrule(lr){4-5} \cmidrule(lr){6-6} \cmidrule(lr){7-8}" in render(wide, "latex")


def test_columns_of_one_title_are_all_shown(sheet):
    same = tuple(replace(column, title="Gauss.") for column in COLUMNS)
    for form in ("terminal", "markdown", "latex"):
        text = render(replace(sheet, columns=same), form)
        assert [value in text for value in ("24.0", "76.7", "80.0", "82.4", "75.0")] == [True] * 5


def test_many_details_have_upright_headings_in_latex_and_few_do_not(sheet):
    def heads(count):
        many = tuple(replace(COLUMNS[2], key=f"c:{index}", title=f"Kind {index}") for index in range(count))
        cells = {(model, column.key): Cell(score(0.5), 500) for model, _ in sheet.rows for column in many}
        text = render(replace(sheet, columns=(*COLUMNS[:2], *many), cells=sheet.cells | cells), "latex")
        return re.findall(r"\\rotatebox\{90\}\{\\footnotesize Kind (\d)\}", text)

    assert heads(8) == []
    assert heads(9) == [str(index) for index in range(9)]


def test_html_names_the_group_of_every_detail_and_marks_the_best(sheet):
    text = render(replace(sheet, rows=(("alexnet", "A"), ("resnet50", "<b>")), laid_out=True), "html")
    heads = [head.strip() for head in re.findall(r"<th>(.*?)</th>", text)]
    assert heads[1:] == [
        "Clean error ↓<br>(n=500)", "mCE ↓<br>(n=500)", "Noise ↓<br>Gauss.", "Noise ↓<br>Shot", "Weather ↓<br>Frost",
    ]  # fmt: skip
    assert re.findall(r"<strong>(.*?)</strong>", text) == ["24.0", "80.0", "82.4"]
    assert "<td>&lt;b&gt;" in text
