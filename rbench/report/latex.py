r"""Tables for papers: LaTeX with booktabs, complete with `\begin{table}`, caption and label."""

from collections.abc import Callable, Sequence

from rbench.pages import Sheet
from rbench.report.cells import commands, detailed, spans
from rbench.report.latex_texts import caption, continued, entry, escape, heading_of, stacked_heading, stub
from rbench.report.lines import bare, chosen, lines, parts, ranks, spread
from rbench.report.strips import JOINED, SETUP, Entry, Strip, aligned, over, plain

Stubs = Sequence[tuple[str, ...]]
NARROW = 3  # columns with intervals that fit one column of a page
BESIDE = 5  # columns that fit the page with intervals beside the numbers
PAGE = 44  # lines of rows and caption together that fit a page, below the headings
LETTERS = {True: 100, False: 48}  # in a line of the caption of a table that spans the page, and of one that does not
BETWEEN = "3pt"  # rows of two lines
GAP = r"\setlength{\belowcaptionskip}{5pt}"  # article has none, and the first rule would touch the caption
_SHRINK = r"""\setlength{\tabcolsep}{3pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
"""


def latex(sheet: Sheet, columns: str | None = None) -> str:
    r"""A sheet as a table that needs `\usepackage{booktabs}`; doubtful values carry one dagger or two.

    The best of a column is bold and the second best underlined; numbers in doubt are not ranked. Details stand without
    intervals. With more than three columns, or headings of groups, a table spans the page; with more than five,
    headings are small and intervals stand below their numbers. Such tables, and those in the layout of a paper, shrink
    to their width, which needs `\usepackage{graphicx}` too; groups of rows need `\usepackage{multirow}`. What is too
    tall for a page goes on in a further table of the same number, and what a caption has no room for stands below.
    Comments say what fills empty cells.
    """
    return _document(sheet, columns, plain)


def siunitx(sheet: Sheet, columns: str | None = None) -> str:
    r"""The same with numbers aligned at the decimal mark, which needs `\usepackage{siunitx}` too."""
    return _document(sheet, columns, aligned)


def _document(sheet: Sheet, columns: str | None, drawn: Callable[[list[Entry]], Strip]) -> str:
    """The tables of a sheet below comments: what they need, and what fills empty cells of papers."""
    kinds = chosen(sheet, columns)
    sheet = bare(sheet, kinds)
    order = {(c.key, kind): ranks(sheet, c, kind) for c in sheet.columns for kind in kinds}
    crowded, several = len(sheet.columns) > BESIDE, len(kinds) > 1
    shown = list(spread(sheet, lines(sheet, kinds), several=several) if crowded else lines(sheet, kinds))
    stacked = any(line.below for line in shown)
    heads = [heading_of(sheet, column, stacked=_wide(sheet), small=stacked) for column in sheet.columns]
    strips = [
        drawn([entry(sheet, line, c, order[c.key, line.numbers].get(line.row, 0), stacked=stacked) for line in shown])
        for c in sheet.columns
    ]
    index = [stub(sheet, line, several=several) for line in shown]
    words, rest = caption(sheet, kinds)
    room = max(PAGE - len(words) // LETTERS[_wide(sheet)], 1)
    tables, start = [], 0
    for part in parts(shown, room):
        body = _table(sheet, words, heads, strips, index, range(start, start + len(part)))
        tables.append(_apart(body, [line.below for line in part]))
        start += len(part)
    wanted = {"graphicx": _fitted(sheet), "multirow": len(index[0]) > 1, "siunitx": drawn is aligned}
    packages = ["booktabs", *(name for name, needed in wanted.items() if needed)]
    needs = " and ".join(rf"\usepackage{{{package}}}" for package in packages)
    todo = "".join(f"% to fill an empty cell: {command}\n" for command in commands(sheet)) if sheet.laid_out else ""
    notes = rf"\noindent{{\footnotesize Table~\ref{{tab:{sheet.name}}}: {rest}\par}}" + "\n" if rest else ""
    return f"% needs {needs}\n{todo}{''.join(tables)}{notes}"


def _table(sheet: Sheet, words: str, heads: Sequence[str], strips: Sequence[Strip], index: Stubs, rows: range) -> str:
    """One table of some of the lines; all but the first go on under the number of the first."""
    import pandas as pd

    stubs, letters = len(index[0]), [strip.letters for strip in strips]
    names = [index[row] for row in rows]
    frame = pd.DataFrame(
        [[text for strip in strips for text in strip.cells[row]] for row in rows],
        index=pd.MultiIndex.from_tuples(names) if stubs > 1 else [title for (title,) in names],
        columns=[text for head, strip in zip(heads, strips, strict=True) for text in strip.heading(head)],
    )
    body = frame.style.to_latex(
        hrules=True,
        clines="skip-last;index" if stubs > 1 else None,
        multirow_align="t",
        column_format="l" * stubs + "".join(letters),
        position="tp",  # what is too tall for the top of a page would wait for the end of the document
        position_float="centering",
        caption=continued(sheet) if rows.start else words,
        label=None if rows.start else f"tab:{sheet.name}",
        environment="table*" if _wide(sheet) else None,
    )
    body = _ruled(body.replace(f" & {JOINED}", ""), stubs)
    body = _spanned(body, sheet, strips, stubs) if detailed(sheet) else body
    body = _before(body, r"\begin{tabular}", f"{SETUP}\n") if letters[0].startswith("S") else body
    body = _before(body, r"\caption", f"{GAP}\n")
    body = _before(body, r"\caption", "\\addtocounter{table}{-1}\n") if rows.start else body
    return _shrunk(body) if _fitted(sheet) else body


def _wide(sheet: Sheet) -> bool:
    """Whether a table needs both columns of a page."""
    return detailed(sheet) or len(sheet.columns) > NARROW


def _fitted(sheet: Sheet) -> bool:
    """Whether a table shrinks to its width: wide ones, and those of papers, whose rows have several names."""
    return _wide(sheet) or sheet.laid_out


def _shrunk(body: str) -> str:
    """A table no wider than its place."""
    return _before(body, r"\begin{tabular}", _SHRINK).replace(r"\end{tabular}", r"\end{tabular}}")


def _before(body: str, mark: str, text: str) -> str:
    return body.replace(mark, text + mark, 1)


def _ruled(body: str, stubs: int) -> str:
    r"""A table with booktabs' rules between groups of rows, and none after the last."""
    rules = (
        [line for line in body.splitlines() if not line.startswith(r"\cline{2-")] if stubs > 2 else body.splitlines()
    )
    kept = [r"\midrule" if line.startswith(r"\cline{1-") else line for line in rules]
    return "\n".join(kept).replace("\\midrule\n\\bottomrule", r"\bottomrule") + "\n"


def _apart(body: str, below: Sequence[bool]) -> str:
    """A table with room after each row of two lines, so that one sees which of them belong together."""
    top, rule, rest = body.partition("\\midrule\n")
    ends = iter(below)
    rows = [f"{text}[{BETWEEN}]" if text.endswith(r"\\") and next(ends) else text for text in rest.splitlines()]
    return top + rule + "\n".join(rows) + "\n"


def _spanned(body: str, sheet: Sheet, strips: Sequence[Strip], stubs: int) -> str:
    r"""A table with the headings of groups above its own."""
    top, rule, rest = body.partition("\\toprule\n")
    heads, below, first, left = [""] * stubs, [], stubs + 1, iter(strips)
    for title, columns in spans(sheet):
        own = [next(left) for _ in columns]
        last = first + sum(strip.width for strip in own) - 1
        grouped = bool(columns[0].group)
        heads += [over(own, escape(title) if grouped else stacked_heading(title), grouped=grouped)]
        below += [rf"\cmidrule(lr){{{first}-{last}}}"] if grouped else []
        first = last + 1
    above = f"{' & '.join(heads)} \\\\\n{' '.join(below)}\n"
    return top + rule + above + rest
