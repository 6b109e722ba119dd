"""Columns of numbers for LaTeX, plain and aligned at the decimal mark, and tables in parts."""

from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbench.pages import Cell, Column, Printed, Sheet
from rbench.report import render
from rbench.report.lines import Line, parts
from rbench.report.strips import JOINED, Entry, aligned, over, plain, table_format
from rbench.types import Finding, Score

BEST = Entry("9.5", "bold", r"$^\dagger$", ("(-0.5)", "[-1.0, 12.0]"))
SECOND = Entry("-10.5", "underlined")


def test_plain_numbers_keep_all_that_stands_beside_them_in_their_column():
    strip = plain([BEST, SECOND, Entry()])
    assert strip.cells == [
        (r"\textbf{9.5}$^\dagger$ {\scriptsize ($-$0.5)} {\scriptsize [$-$1.0, 12.0]}",),
        (r"\underline{$-$10.5}",),
        ("--",),
    ]
    assert (strip.letters, strip.width, strip.heading("Clean")) == ("r", 1, ("Clean",))


def test_aligned_numbers_are_read_by_siunitx_and_the_rest_follows_in_a_column():
    strip = aligned([BEST, SECOND, Entry(), Entry("3.0", beside=("[2.0, 4.0]",))])
    assert strip.letters == "S[table-format=+2.1]@{}l"
    assert strip.cells == [
        (r"\bfseries 9.5", r"$^\dagger$ {\scriptsize ($-$0.5)} {\scriptsize [$-$1.0, 12.0]}"),
        (r"-10.5{\llap{\underline{\phantom{$-$10.5}}}}", ""),
        ("{--}", ""),
        ("3.0", r"~{\scriptsize [2.0, 4.0]}"),  # a space at the start of a cell would be lost
    ]
    assert strip.heading("Clean") == (r"\multicolumn{2}{c}{Clean}", JOINED)


def test_numbers_alone_need_one_column_and_headings_span_what_is_below():
    alone, pair = aligned([SECOND]), aligned([BEST])
    assert (alone.letters, alone.heading("Clean")) == ("S[table-format=+2.1]", (r"\multicolumn{1}{c}{Clean}",))
    assert over([alone, pair], "PGD", grouped=True) == r"\multicolumn{3}{c}{PGD}"
    assert over([plain([BEST])], "PGD", grouped=True) == r"\multicolumn{1}{c}{PGD}"


@pytest.mark.parametrize(
    ("numbers", "room"),
    [
        (["9.5", "100.0"], "3.1"), (["3", "24"], "2"), (["+0.25", "10.00"], "+2.2"), (["-0.41"], "+1.2"), ([], "1.1"),
    ],
)  # fmt: skip
def test_the_room_of_numbers_by_hand(numbers, room):
    assert table_format(numbers) == room


def test_what_is_too_tall_for_a_page_goes_on_under_the_same_number():
    """30 rows of two lines, in groups of 20 and 10: the caption takes one line of 44, so that a page holds 22 rows."""
    rows = tuple((f"r{place}", f"Row {place}") for place in range(30))
    score, printed = Score(0.5, (0.4, 0.6), 100), Printed("51.0")
    cells = {(row, "s:a"): Cell(score, 100, printed=printed) for row, _ in rows}
    groups = {row: "First" if place < 20 else "Second" for place, (row, _) in enumerate(rows)}
    sheet = Sheet("tall", "Tall", (), rows, (Column("s:a", "A", True),), cells, groups=groups, laid_out=True)
    for form in ("latex", "latex-siunitx"):
        first, second = render(sheet, form).split(r"\begin{table}")[1:]
        assert [part.count("measured &") for part in (first, second)] == [20, 10]
        assert ("First" in first, "First" in second, "Second" in first) == (True, False, False)
        assert (r"\label{tab:tall}" in first, r"\label" in second) == (True, False)
        assert r"\addtocounter" not in first
        assert r"\addtocounter{table}{-1}" + "\n" + r"\caption{Tall, continued.}" in second
    short = render(sheet, "latex", "measured")
    assert short.count(r"\begin{table}") == 1
    assert "continued" not in short


def test_long_headings_of_many_columns_are_stacked_and_arrows_stay_with_their_word():
    titles = ("AA", "Success, from standard-digits", "PGD & co", "Cascade")
    columns = tuple(Column(f"s:{place}", title, True) for place, title in enumerate(titles))
    cells = {("r", column.key): Cell(Score(0.5, (0.4, 0.6), 500), 500) for column in columns}
    sheet = Sheet("t", "T", (), (("r", "Row"),), columns, cells)
    lines = r"Success,\\from\\standard-digits~$\uparrow$\\($n$=500)"
    assert r" & \shortstack{AA~$\uparrow$\\($n$=500)} & " in render(sheet, "latex")
    assert rf" & \shortstack{{{lines}}} & \shortstack{{PGD \& co~$\uparrow$\\($n$=500)}} & " in render(sheet, "latex")
    assert rf" & \multicolumn{{2}}{{c}}{{\shortstack{{{lines}}}}} & " in render(sheet, "latex-siunitx")
    assert "shortstack" not in render(replace(sheet, columns=columns[:3]), "latex")


def test_many_columns_have_intervals_on_a_line_below_which_a_long_title_takes_too():
    columns = tuple(Column(f"s:{place}", "PGD", True, detail=place == 5) for place in range(6))
    cells = {("r", column.key): Cell(Score(0.5, (0.4, 0.6), 500), 500) for column in columns}
    cells |= {("q", column.key): Cell() for column in columns}
    cells["r", "s:1"] = Cell(Score(0.5, (0.4, 0.6), 500, (Finding("RB114", "warn", "the gradient."),)), 500)
    rows = (("r", "A network by the names of two papers"), ("q", "A network that nobody has ever asked"))
    sheet = Sheet("t", "T", (), rows, columns, cells)
    small, aligned_small = r" & {\scriptsize [40.0, 60.0]}", r" & \multicolumn{2}{r}{{\scriptsize [40.0, 60.0]}}"
    empty = "A network that nobody has ever asked" + " & --" * 6 + r" \\"
    assert render(sheet, "latex").partition("\\midrule\n")[2].splitlines()[:4] == [
        r"A network by the names of & 50.0 & 50.0$^\dagger$" + " & 50.0" * 4 + r" \\",
        f"two papers{small * 5} & " + r" \\[3pt]",
        empty,
        r"\bottomrule",
    ]
    first, second, *_ = render(sheet, "latex-siunitx").partition("\\midrule\n")[2].splitlines()
    assert first == r"A network by the names of & 50.0 & 50.0 & $^\dagger$" + " & 50.0" * 4 + r" \\"
    braced = r" & {{\scriptsize [40.0, 60.0]}}"
    assert second == f"two papers{braced}{aligned_small}{braced * 3} & " + r" \\[3pt]"
    few = render(replace(sheet, columns=columns[:5]), "latex")
    assert r"50.0 {\scriptsize [40.0, 60.0]}" in few
    assert "3pt]" not in few


def test_groups_and_kinds_of_numbers_span_both_lines_of_a_row():
    columns = tuple(Column(f"s:{place}", "PGD", True) for place in range(6))
    cells = {("r", column.key): Cell(Score(0.5, (0.4, 0.6), 500), 500, printed=Printed("51.0")) for column in columns}
    sheet = Sheet("t", "T", (), (("r", "Row"),), columns, cells, groups={"r": "G"}, laid_out=True)
    assert render(sheet, "latex").partition("\\midrule\n")[2].splitlines()[:3] == [
        r"\multirow[t]{3}{*}{G} & \multirow[t]{3}{*}{Row} & published" + " & 51.0" * 6 + r" \\",
        " &  & measured" + " & 50.0" * 6 + r" \\",
        " &  & " + r" & {\scriptsize [40.0, 60.0]}" * 6 + r" \\[3pt]",
    ]


def test_doubts_that_a_caption_has_no_room_for_stand_below():
    columns = (Column("s:a", "A", True), Column("s:b", "B", True))
    short, long = (Finding("RB114", "warn", f"the {'very ' * count}gradient.") for count in (1, 500))
    cells = {("r", column.key): Cell(Score(0.5, (0.4, 0.6), 500, (short,)), 500) for column in columns}
    sheet = Sheet("t", "T", ("P",), (("r", "Row"),), columns, cells)
    text = render(sheet, "latex")
    assert r"$^\dagger$ r A, B: the very gradient. [RB114].}" in text
    assert text.endswith("\\end{table}\n")
    doubted = {key: replace(cell, score=replace(cell.score, findings=(long,))) for key, cell in cells.items()}
    caption, below = render(replace(sheet, cells=doubted), "latex").split("\\end{table}\n")
    assert "very" not in caption
    assert "T. P. " in caption
    assert below.startswith(r"\noindent{\footnotesize Table~\ref{tab:t}: $^\dagger$ r A, B: the very very ")
    assert below.count("very") == 500


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 12), st.booleans())
def test_parts_hold_all_lines_in_order_and_keep_rows_and_fitting_groups_whole(sizes, room, both):
    kinds = ("published", "measured") if both else ("measured",)
    shown = [
        Line(f"{group} {row}", kind, "", f"group {group}")
        for group, size in enumerate(sizes)
        for row in range(size)
        for kind in kinds
    ]
    found = parts(shown, room)
    assert list(chain(*found)) == shown
    assert len(found) == 1 or len(shown) > room
    for part in found:
        assert len(part) <= max(room, len(kinds))
        assert len(part) % len(kinds) == 0
    for group, size in enumerate(sizes):
        held = [part for part in found if any(line.group == f"group {group}" for line in part)]
        assert len(held) == 1 or size * len(kinds) > room
