"""Tables in the layout of papers: what is printed, what is measured, and what fills what is empty."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.pages import Cell, Column, Printed, Sheet
from rbench.places import placed, runs_of
from rbench.planner import Variant
from rbench.report import render
from rbench.report.lines import amount, bounds, chosen, lines, ranks, step, text
from rbench.sheet import collect
from rbench.tables import TableColumn, TableRow, TableSpec
from rbench.types import Finding, Score

GOLDEN = Path(__file__).parent / "golden"
NUMBERS = """paper,table,dataset,model,variant,threat,metric,value,unit,note,card,score
P,T1,digits,small,at,clean,error,2.5,%,,at-digits,1 - digits-linf:clean
P,T1,digits,small,at,pgd,error,30.05,%,,at-digits,1 - digits-linf:pgd20
P,T1,digits,small,ews,clean,error,2,%,misprint,ews-digits,1 - digits-linf:clean
P,T1,digits,small,ews,pgd,error,29.0,%,,ews-digits,1 - digits-linf:pgd20
P,T1,digits,small,other,clean,error,9.0,%,,,1 - digits-linf:clean
P,T1,digits,small,at,-,params,0.08,M,,at-digits,
P,T2,digits,small,at,clean,error,7.7,%,,at-digits,1 - digits-linf:clean
"""
TABLE = """
title = "A table"
published = "numbers"
where = { table = "T1" }
notes = ["the paper has a misprint"]
[[rows]]
group = "Trained"
title = "AT"
where = { variant = "at" }
[[rows]]
group = "Trained"
title = "EWS"
where = { variant = "ews" }
versus = "AT"
[[rows]]
group = "Others"
title = "Other"
where = { variant = "other" }
[[columns]]
title = "Parameters"
where = { metric = "params" }
better = "none"
[[columns]]
group = "Errors"
title = "Clean"
where = { threat = "clean", metric = "error" }
better = "lower"
[[columns]]
group = "Errors"
title = "PGD"
where = { threat = "pgd", metric = "error" }
better = "lower"
"""


@pytest.fixture
def shelf(tmp_path):
    def write(table=TABLE, numbers=NUMBERS):
        (tmp_path / "reports" / "published").mkdir(parents=True, exist_ok=True)
        (tmp_path / "reports" / "published" / "numbers.csv").write_text(numbers)
        (tmp_path / "reports" / "mine.toml").write_text(table)
        return Catalog.find([tmp_path])

    return write


def test_a_cell_is_the_number_that_fits_its_row_and_column(shelf):
    catalog = shelf()
    places = placed(catalog, catalog.table("mine"))
    clean, pgd = places["Trained EWS", "Errors:Clean"], places["Trained AT", "Errors:PGD"]
    assert (clean.suite, clean.score, clean.model, clean.complement) == ("digits-linf", "clean", "ews-digits", True)
    assert clean.printed == Printed("2", "%", "misprint", "P, T1")
    assert (pgd.printed.text, pgd.model) == ("30.05", "at-digits")
    assert places["Others Other", "Errors:Clean"].model == ""  # nobody has a card of it
    assert places["Others Other", "Errors:Clean"].printed.text == "9.0"
    assert places["Others Other", "Errors:PGD"].printed is None
    assert runs_of(places) == (("digits-linf", "at-digits"), ("digits-linf", "ews-digits"))


def test_nothing_measured_leaves_the_paper_and_the_commands(shelf, tmp_path):
    catalog = shelf()
    sheet = collect(catalog, catalog.table("mine"), tmp_path / "runs", Variant(limit=7))
    text = render(sheet, "markdown")
    assert [cell.strip() for cell in next(line for line in text.splitlines() if "EWS" in line).split("|")[2:-1]] == [
        "EWS", "published", "-", "**2.0** (-0.5)", "**29.00** (-1.05)",
    ]  # fmt: skip
    for model in ("at-digits", "ews-digits"):
        assert f"To fill an empty cell: rbench eval --suite digits-linf --model {model} --limit 7\n" in text
        assert f"% to fill an empty cell: rbench eval --suite digits-linf --model {model} --limit 7\n" in render(
            sheet, "latex"
        )
    assert "To fill all empty cells: rbench eval --table mine --limit 7\n\nTo fill an empty cell: " in text
    assert "the paper has a misprint" in text
    assert "the paper has a misprint" in render(sheet, "latex")
    assert json.loads(render(sheet, "json"))["cells"]["Trained EWS"]["Errors:Clean"]["published"]["note"] == "misprint"


def measured(value, printed):
    return Cell(Score(value, (value - 0.02, value + 0.02), 500), 500, printed=Printed(printed))


@pytest.fixture
def sheet():
    columns = (Column("e:a", "A", False, "E", decimals=2), Column("e:b", "B", True, "E", decimals=2))
    cells = {
        ("r1", "e:a"): measured(0.3, "31"), ("r2", "e:a"): measured(0.25, "24.5"),
        ("r3", "e:a"): measured(0.25001, "50"),
        ("r1", "e:b"): measured(0.7, "60"), ("r2", "e:b"): Cell(printed=Printed("59.99")), ("r3", "e:b"): Cell(),
    }  # fmt: skip
    rows = (("r1", "One & all"), ("r2", "Two"), ("r3", "Three"))
    return Sheet(
        "t", "T", (), rows, columns, cells, groups={"r1": "G", "r2": "G", "r3": "H"}, versus={"r2": "r1"}, laid_out=True
    )


def test_numbers_differences_and_ranks_by_hand(sheet):
    a, b = sheet.columns
    one, two, *_ = lines(sheet, ("measured",))
    assert text(sheet.cells["r2", "e:a"], "difference", 2) == "+0.50"
    assert bounds(sheet.cells["r2", "e:a"], "difference", 2) == "[-1.50, +2.50]"
    assert bounds(sheet.cells["r2", "e:a"], "measured", 2) == "[23.00, 27.00]"
    assert (step(sheet, two, a), step(sheet, one, a), step(sheet, two, b)) == ("(-5.00)", "", "")
    assert step(sheet, replace(two, numbers="published"), b) == "(-0.01)"
    assert step(sheet, two, replace(a, versus=False)) == ""
    assert ranks(sheet, a, "measured") == {"r2": 1, "r3": 1, "r1": 2}  # printed alike is alike
    assert ranks(sheet, a, "published") == {"r2": 1, "r1": 2}
    assert ranks(sheet, b, "published") == {"r1": 1, "r2": 2}
    assert ranks(sheet, b, "measured") == ranks(sheet, a, "difference") == {}


@pytest.mark.parametrize("level", ["info", "warn", "error"])
def test_a_number_in_doubt_has_no_rank_and_the_others_are_ranked_among_themselves(sheet, level):
    a, cell = sheet.columns[0], sheet.cells["r2", "e:a"]
    found = replace(cell, score=replace(cell.score, findings=(Finding("RB125", level, "squares fool it."),)))
    sheet.cells["r2", "e:a"], sheet.cells["r3", "e:a"] = found, measured(0.28, "50")
    assert ranks(sheet, a, "measured") == ({"r2": 1, "r3": 2} if level == "info" else {"r3": 1, "r1": 2})
    assert ranks(sheet, a, "published") == {"r2": 1, "r1": 2}  # the doubt is not about what a paper prints
    sheet.cells["r3", "e:a"] = found
    assert ranks(sheet, a, "measured") == ({"r2": 1, "r3": 1, "r1": 2} if level == "info" else {})  # one is no order


def test_a_doubt_stays_with_the_number_and_with_its_difference(sheet):
    doubted = replace(sheet.cells["r1", "e:b"].score, findings=(Finding("RB125", "error", "squares fool it."),))
    cell = replace(sheet.cells["r1", "e:b"], score=doubted)
    sheet = replace(sheet, cells={**sheet.cells, ("r1", "e:b"): cell})
    for columns, marks in (("measured", 1), ("difference", 1), ("published", 0)):
        row = next(line for line in render(sheet, "markdown", columns).splitlines() if "One & all" in line)
        assert row.count("‡") == marks, columns
        body = render(sheet, "latex", columns).partition(r"\midrule")[2]
        assert body.count(r"$^\ddagger$") == marks, columns
        body = render(sheet, "latex-siunitx", columns).partition(r"\midrule")[2]
        assert body.count(r"$^\ddagger$") == marks, columns
    alone = {**sheet.cells, ("r1", "e:b"): replace(cell, printed=None)}
    for form in ("latex", "latex-siunitx"):  # nothing to compare with, and no mark beside a dash
        assert r"$^\ddagger$" not in render(replace(sheet, cells=alone), form, "difference").partition(r"\midrule")[2]


def test_latex_has_groups_of_rows_and_columns_bold_and_underline(sheet):
    text = render(sheet, "latex", "both")
    assert r"\multirow[t]{4}{*}{G} & \multirow[t]{2}{*}{One \& all} & published & \underline{31.00} &" in text
    assert r" & \multirow[t]{2}{*}{Two} & published & \textbf{24.50} {\scriptsize ($-$6.50)} &" in text
    assert r" &  &  & \multicolumn{2}{c}{E} \\" + "\n" + r"\cmidrule(lr){4-5}" in text
    body = text.partition(r"\midrule")[2].splitlines()
    assert body.count(r"\midrule") == 1  # between the groups, not after the last
    assert "cline" not in text
    assert body[body.index(r"\midrule") + 1].startswith(r"\multirow[t]{2}{*}{H}")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "latex"])
def test_every_choice_of_columns_says_what_its_numbers_are(sheet, form):
    told = {choice: render(sheet, form, choice) for choice in ("published", "measured", "both", "difference")}
    legends = {choice: [words for words in LEGENDS if words in text] for choice, text in told.items()}
    assert legends == {choice: [words] for choice, words in zip(told, LEGENDS, strict=True)}


LEGENDS = ("as a paper prints them.", "Measured here", "as a paper prints them, and those", "Measured less published")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "latex"])
def test_papers_numbers_alone_stand_without_what_is_about_measuring(sheet, form):
    """Protocols, doubts and commands are about runs; the notes are about the paper."""
    score = replace(sheet.cells["r1", "e:a"].score, findings=(Finding("RB114", "warn", "the gradient differs."),))
    own = {("r1", "e:a"): Cell(score, printed=Printed("31")), ("r3", "e:b"): Cell(missing="rbench eval")}
    told = {"protocol": ("digits-linf@2",), "verdicts": {("r1", "e"): "suspect"}, "notes": ("a misprint",)}
    whole = replace(sheet, cells={**sheet.cells, **own}, **told)
    both, alone = (render(whole, form, choice) for choice in ("both", "published"))
    for words in ("digits-linf@2", "Suspect: r1", "RB114", "rbench eval"):
        assert words in both
        assert words not in alone
    assert "a misprint" in alone


def test_rows_that_do_not_compete_have_no_best(sheet):
    column = sheet.columns[1]
    assert ranks(sheet, column, "published")
    assert ranks(replace(sheet, ranked=False), column, "published") == {}


def test_every_choice_of_columns_and_no_other(sheet):
    assert chosen(sheet, None) == ("published", "measured")
    assert chosen(replace(sheet, laid_out=False), None) == ("measured",)
    assert [chosen(sheet, choice) for choice in ("measured", "published", "difference")] == [
        ("measured",), ("published",), ("difference",),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="Did you mean 'measured'"):
        render(sheet, "markdown", "mesured")


@given(st.floats(0, 1), st.decimals(0, 100, places=2))
def test_a_difference_is_what_was_measured_less_what_is_printed(value, printed):
    cell = Cell(Score(value, (value, value), 10), 10, printed=Printed(str(printed)))
    assert amount(cell, "difference") == pytest.approx(100 * value - float(printed))
    other = replace(cell, printed=Printed(str(printed), "M"))
    assert amount(other, "difference") is None  # nothing to compare with a count of parameters


def test_errors_are_the_rest_of_accuracies(shelf, tmp_path, monkeypatch):
    from rbench import sheet as module

    score = Score(0.98, (0.96, 0.99), 500)
    row = module._Row({name: Cell(score, 500) for name in ("clean", "pgd20")}, 500)
    monkeypatch.setattr(module, "_row", lambda *_: row)
    catalog = shelf()
    cell = collect(catalog, catalog.table("mine"), tmp_path, Variant()).cells["Trained AT", "Errors:Clean"]
    assert cell.score.value == pytest.approx(0.02)
    assert cell.score.interval == pytest.approx((0.01, 0.04))


MISTAKES = {
    'where = { variant = "at" }': (
        'where = { variant = "att" }',
        r"no variant named 'att' in .*mine.toml: row 'Trained AT'. Did you mean 'at'",
    ),
    'title = "EWS"': ('title = "AT"', "'Trained AT' occurs twice"),
    'versus = "AT"': (
        'versus = "ATT"',
        r"mine.toml: no row named 'ATT' in `versus` of 'Trained EWS'. Did you mean 'AT'\?$",
    ),
    'where = { threat = "pgd", metric = "error" }': ('where = { metric = "error" }', "several published numbers fit"),
    'where = { metric = "params" }': (
        'where = { metrics = "params" }',
        r"no column named 'metrics' in .*mine.toml: column 'Parameters'. Did you mean 'metric'",
    ),
    'published = "numbers"': ('published = "number"', r"'number' in .*mine.toml. Did you mean 'numbers'"),
    'group = "Errors"\ntitle = "Clean"': (
        'grup = "Errors"\ntitle = "Clean"',
        r"mine.toml: no key named 'grup' in \[\[columns\]\]. Did you mean 'group'",
    ),
    'title = "A table"': ('titel = "A table"', "no key named 'titel' in its top level. Did you mean 'title'"),
    'better = "none"': (
        'better = "most"',
        r"mine.toml: columns.0.better: Input should be 'higher', 'lower' or 'none' \(got 'most'\)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_table_gets_file_key_and_nearest_match(shelf, tmp_path, mistake):
    wrong, sentence = MISTAKES[mistake]
    assert mistake in TABLE
    catalog = shelf(TABLE.replace(mistake, wrong, 1))
    with pytest.raises(UsageError, match=sentence):
        collect(catalog, catalog.table("mine"), tmp_path, Variant())


@pytest.mark.parametrize(
    ("columns", "model", "sentence"),
    [
        ("digits-linf:clean", "at-digit", "model named 'at-digit' in {}: row 'at-digit'. Did you mean 'at-digits'?"),
        ("digits-lin:clean", "at-digits", "suite named 'digits-lin' in {}: column 'digits-lin:clean'. Did you mean"),
        ("digits-linf:clear", "at-digits", "score named 'clear' in {}: 'digits-linf:clear'. Did you mean 'clean'?"),
    ],
)  # fmt: skip
def test_a_wrong_model_suite_or_score_of_a_table_gets_its_file(shelf, tmp_path, columns, model, sentence):
    catalog = shelf(f'title = "A table"\nmodels = ["{model}"]\ncolumns = ["{columns}"]\n')
    with pytest.raises(UsageError, match=re.escape(sentence.format(tmp_path / "reports" / "mine.toml"))):
        placed(catalog, catalog.table("mine"))


def test_a_column_must_rank_as_its_scores_do(shelf):
    catalog = shelf(TABLE.replace('better = "lower"', 'better = "higher"'))
    with pytest.raises(UsageError, match="better = 'higher', but its score says 'lower'"):
        placed(catalog, catalog.table("mine"))


@pytest.mark.parametrize(("name", "remedy"), [("at-digit,", "at-digits"), ("at-digits,1 - digits-linf:clear", "clean")])
def test_a_wrong_card_or_score_in_the_numbers_is_named(shelf, tmp_path, name, remedy):
    old = "at-digits," if name == "at-digit," else "at-digits,1 - digits-linf:clean"
    catalog = shelf(numbers=NUMBERS.replace(old, name))
    with pytest.raises(UsageError, match=re.escape(f"'{remedy}'")):
        collect(catalog, catalog.table("mine"), tmp_path, Variant())


def test_plain_tables_show_what_cards_report(tmp_path):
    catalog = Catalog.find()
    spec = TableSpec("t", "T", ("cifar10-linf:clean",), ("ews-wrn34",))
    sheet = collect(catalog, spec, tmp_path, Variant())
    assert sheet.cells["ews-wrn34", "cifar10-linf:clean"].printed.text == "85.67"
    assert "85.7" in render(sheet, "markdown", "published")
    assert "85.7" not in render(sheet, "markdown")


def test_rows_of_models_and_columns_of_scores_may_have_titles_and_groups(tmp_path):
    rows = (TableRow("AT", "A", "at-digits"), TableRow("EWS", "A", "ews-digits", versus="AT"))
    spec = TableSpec("t", "T", (TableColumn("PGD", "Attacked", "digits-linf:pgd20", versus=False),), rows=rows)
    sheet = collect(Catalog.find(), spec, tmp_path, Variant())
    assert (sheet.rows, sheet.versus) == ((("at-digits", "AT"), ("ews-digits", "EWS")), {"ews-digits": "at-digits"})
    column = sheet.columns[0]
    assert (column.title, column.group, column.detail, column.versus) == ("PGD", "Attacked", False, False)
    with pytest.raises(UsageError, match="either `models` or `rows`"):
        replace(spec, models=("at-digits",))


def test_table_4_of_ews_is_as_it_was_looked_at(tmp_path):
    catalog = Catalog.find()
    sheet = collect(catalog, catalog.table("ews-table4"), tmp_path, Variant())
    assert render(sheet, "latex", "both") == (GOLDEN / "ews-table4-latex.txt").read_text()
