"""The tables' LaTeX compiles and fits the page, where there is a TeX engine."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rbench.catalog import Catalog
from rbench.planner import Variant
from rbench.report import render
from rbench.sheet import collect
from rbench.types import Finding, Score

GOLDEN = Path(__file__).parent / "golden"
PACKAGES = {"latex": "", "latex-siunitx": r"\usepackage{siunitx}"}
DOUBT = (Finding("RB114", "warn", "the gradient differs."),)
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{multirow}
%s
\begin{document}
%s
\end{document}
"""


def full(sheet):
    """A sheet with a number in every cell, as wide as they get; some in doubt, or all of a tall one."""
    few = len(sheet.cells) if len(sheet.rows) > 20 else 3
    cells = {
        key: replace(cell, score=Score(0.5, (0.45, 1.0), 500, DOUBT if place < few else ()), missing="", undefined="")
        for place, (key, cell) in enumerate(sheet.cells.items())
    }
    return replace(sheet, cells=cells)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """All tables of the shelf: nothing measured in plain ones, everything in those that siunitx aligns."""
    catalog, runs = Catalog.find(), tmp_path_factory.mktemp("runs")
    sheets = [collect(catalog, catalog.table(name), runs, Variant()) for name in catalog.files("tables")]
    return {
        "latex": [render(sheet, "latex") for sheet in sheets],
        "latex-siunitx": [render(full(sheet), "latex-siunitx", "measured") for sheet in sheets],
    }


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (Debian: texlive-latex-extra)")
@pytest.mark.parametrize("form", PACKAGES)
def test_every_table_of_the_shelf_compiles_and_fits_its_page(tmp_path, tables, form):
    if form == "latex-siunitx" and not subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True, check=False).stdout:  # fmt: skip # noqa: E501
        pytest.skip("siunitx is not installed (Debian: texlive-science)")
    golden = [path.read_text() for path in GOLDEN.glob(f"*{form}.txt")]
    (tmp_path / "all.tex").write_text(DOCUMENT % (PACKAGES[form], "\n\\clearpage\n".join([*golden, *tables[form]])))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count("Overfull") <= len(golden)  # only those with values in one column of the page
    assert "too large" not in done.stdout


@pytest.mark.parametrize("form", PACKAGES)
def test_every_line_has_as_many_cells_as_columns(tables, form):
    bodies = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", "".join(tables[form]), re.DOTALL)
    assert len(bodies) == len(tables[form]) + 1  # semirobust-table3 is too tall for a page
    for body in bodies:
        letters = re.sub(r"\[.*?\]|@\{\}", "", re.match(r"\\begin\{tabular\}\{(.*)\}", body)[1])
        assert set(letters) <= set("lrS")
        for line in re.findall(r"(.*) \\\\(?:\[3pt\])?\n", body.partition("\\toprule\n")[2]):
            more = [int(width) - 1 for width in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert len(re.findall(r"(?<!\\)&", line)) + sum(more) + 1 == len(letters), line


def test_intervals_take_no_width_where_columns_are_many(tables):
    """Beside its number an interval makes a column twice as wide, and eleven of them shrink until nobody reads them."""
    for text in tables["latex-siunitx"]:
        body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
        rows = [row for row in body.splitlines() if re.search(r"\[\d", row.partition("[3pt]")[0])]
        assert rows
        assert all((re.search(r"\b50\.0", row) is None) == (text.count("S[") > 5) for row in rows), rows
