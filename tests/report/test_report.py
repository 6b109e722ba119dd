import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rbench.pages import Cell, Column, Sheet
from rbench.report import FORMATS, render
from rbench.report.latex_texts import escape
from rbench.statistics.intervals import wilson
from rbench.types import Finding, Score

GOLDEN = Path(__file__).parent / "golden"
MASKED = Finding("RB124", "warn", "fgsm fools 9 of 500 samples that pgd20 does not: the stronger attack is hindered.")  # fmt: skip # noqa: E501
CUT = Finding("RB114", "error", "the gradient differs from finite differences by 0.7.")


def score(k, *findings, n=500):
    return Score(k / n, wilson(k, n), n, findings)


@pytest.fixture
def sheet():
    columns = (Column("s:clean", "Clean", True), Column("s:pgd20", "PGD-20", True), Column("s:error", "Error", False))
    rows = (("at_net", "AT & co, 100% safe"), ("ews", "AT + EWS"), ("none", "Not yet"))
    cells = {
        ("at_net", "s:clean"): Cell(score(490), 500),
        ("at_net", "s:pgd20"): Cell(score(400, MASKED), 500),
        ("at_net", "s:error"): Cell(score(10), 500),
        ("ews", "s:clean"): Cell(score(490), 500),
        ("ews", "s:pgd20"): Cell(score(390, CUT, Finding("RB144", "info", "run by others.")), 500),
        ("ews", "s:error"): Cell(score(9, CUT), 500),
        **{("none", c.key): Cell(missing="rbench eval --suite s --model none") for c in columns},
    }
    verdicts = {("at_net", "s"): "suspect", ("ews", "s"): "unreliable"}
    return Sheet(
        "t_1", "A table", ("s@1: digits, L-inf, eps = 24/255, n = 500, seed 0",), rows, columns, cells, verdicts
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_as_it_was_looked_at(sheet, form):
    assert render(sheet, form) == (GOLDEN / f"{form}.txt").read_text()


def test_all_formats_print_the_same_numbers(sheet):
    wanted = {("at_net", "s:pgd20"): ("80.0", "76.3", "83.3"), ("ews", "s:error"): ("1.8", "0.9", "3.4")}
    rows = {(row["model"], row["column"]): row for row in csv.DictReader(io.StringIO(render(sheet, "csv")))}
    cells = json.loads(render(sheet, "json"))["cells"]
    for (model, column), numbers in wanted.items():
        row, cell = rows[model, column], cells[model][column]
        assert tuple(f"{100 * float(row[key]):.1f}" for key in ("value", "low", "high")) == numbers
        assert tuple(f"{100 * v:.1f}" for v in (cell["value"], *cell["interval"])) == numbers
        for form in ("terminal", "markdown", "latex", "latex-siunitx"):
            text = re.sub(r"\\textbf|\\bfseries|\\scriptsize|\\d?dagger|[*$^†‡{}~&]", "", render(sheet, form))
            assert re.search(rf"{numbers[0]} +\[{numbers[1]}, {numbers[2]}\]", text)


def test_the_best_is_bold_with_ties_and_by_the_direction_of_the_column(sheet):
    sheet = replace(sheet, cells={key: replace(c, score=c.score and replace(c.score, findings=())) for key, c in sheet.cells.items()})  # fmt: skip # noqa: E501
    lines = render(sheet, "markdown").splitlines()
    at, ews = (next(line for line in lines if line.startswith(f"| {model}")) for model in ("at_net", "ews"))
    assert [bool(re.search(r"\*\*", cell)) for cell in at.split("|")[2:5]] == [True, True, False]
    assert [bool(re.search(r"\*\*", cell)) for cell in ews.split("|")[2:5]] == [True, False, True]


def test_a_suspect_number_carries_a_dagger_and_the_reason(sheet):
    for form in ("terminal", "markdown"):
        text = render(sheet, form)
        assert text.count(" 80.0† [") == 1  # the best of its column, and not bold
        assert "† at_net PGD-20: fgsm fools 9 of 500" in text
        assert "run by others" not in text
    assert r"$^\dagger$" in render(sheet, "latex")
    assert json.loads(render(sheet, "json"))["cells"]["at_net"]["s:pgd20"]["findings"][0]["code"] == MASKED.code


def test_an_unreliable_number_carries_a_double_dagger_and_one_line_for_all_its_cells(sheet):
    for form in ("terminal", "markdown"):
        text = render(sheet, form)
        assert re.search(r"78\.0‡ \[", text)
        assert re.search(r"1\.8‡ \[", text)
        assert text.count("‡ ews PGD-20, Error: the gradient differs from finite differences by 0.7. [RB114]") == 1
        assert [line for line in text.splitlines() if "eliable:" in line or "Suspect:" in line] == [
            "† Suspect: at_net.",
            "‡ Unreliable: ews.",
        ]
    assert r"$^\ddagger$" in render(sheet, "latex")
    got = json.loads(render(sheet, "json"))
    assert got["verdicts"] == {"at_net": {"s": "suspect"}, "ews": {"s": "unreliable"}}
    assert got["cells"]["ews"]["s:error"]["doubt"] == "unreliable"
    assert got["cells"]["ews"]["s:clean"]["doubt"] is None


def test_verdicts_name_the_suite_where_there_are_several(sheet):
    several = replace(sheet, verdicts={("ews", "s"): "reliable", ("ews", "t"): "reliable", ("none", "t"): "suspect"})
    text = render(several, "terminal")
    assert "Reliable: ews on s, ews on t." in text
    assert "† Suspect: none on t." in text


def test_an_empty_cell_names_its_command_once(sheet):
    for form in ("terminal", "markdown"):
        assert render(sheet, form).count("rbench eval --suite s --model none") == 1


def test_a_cell_that_can_have_no_value_says_why_to_programs(sheet):
    why = "the baseline's flip probability is 0, so nothing can be divided by it"
    sheet.cells["ews", "s:error"] = Cell(None, 500, undefined=why)
    rows = {(row["model"], row["column"]): row for row in csv.DictReader(io.StringIO(render(sheet, "csv")))}
    assert (rows["ews", "s:error"]["value"], rows["ews", "s:error"]["missing"]) == ("", f"no value: {why}")
    assert rows["ews", "s:clean"]["missing"] == ""
    assert rows["none", "s:clean"]["missing"] == "rbench eval --suite s --model none"
    assert json.loads(render(sheet, "json"))["cells"]["ews"]["s:error"]["undefined"] == why


def test_a_count_that_differs_leaves_the_heading(sheet):
    assert "PGD-20 ↑ (n=500)" in render(sheet, "markdown")
    sheet.cells["ews", "s:pgd20"] = Cell(score(10, n=20), 20)
    assert "PGD-20 ↑ |" in re.sub(" +", " ", render(sheet, "markdown"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & $5 #1_a {x}", r"50\% \& \$5 \#1\_a \{x\}"),
        ("2^20 is `2^10` twice", r"$2^{20}$ is \texttt{$2^{10}$} twice"),
        ("a\\b~^", r"a\textbackslash{}b\textasciitilde{}\textasciicircum{}"),
    ],
)
def test_latex_is_escaped(text, expected):
    assert escape(text) == expected
