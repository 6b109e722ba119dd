"""The tables' LaTeX compiles, where there is a TeX engine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rbench.catalog import Catalog
from rbench.planner import Variant
from rbench.report import render
from rbench.sheet import collect

DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{multirow}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (Debian: texlive-latex-extra)")
def test_every_table_of_the_shelf_compiles(tmp_path):
    catalog = Catalog.find()
    names = catalog.files("tables")
    sheets = [collect(catalog, catalog.table(name), tmp_path / "runs", Variant()) for name in names]
    golden = [path.read_text() for path in Path(__file__).parent.glob("golden/*latex.txt")]
    tables = [*golden, *(render(sheet, "latex", columns) for sheet in sheets for columns in (None, "measured"))]
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n\\clearpage\n".join(tables))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stdout.count("Overfull") <= len(golden)  # only those with values in one column of the page
