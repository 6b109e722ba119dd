"""Sheets to text: terminal and Markdown, HTML, LaTeX, CSV and JSON."""

from collections.abc import Callable, Mapping
from importlib import import_module

from rbench.errors import unknown
from rbench.pages import Sheet

FORMATS: Mapping[str, str] = {
    "terminal": "rbench.report.markdown:terminal",
    "markdown": "rbench.report.markdown:markdown",
    "html": "rbench.report.markdown:html",
    "latex": "rbench.report.latex:latex",
    "latex-siunitx": "rbench.report.latex:siunitx",
    "csv": "rbench.report.machine:csv",
    "json": "rbench.report.machine:json",
}


def render(sheet: Sheet, form: str, columns: str | None = None) -> str:
    """A sheet in one of `FORMATS`; each format is imported on first use.

    `columns` are the numbers to show: "measured", "published", "both" or their "difference"; by default those measured,
    and both where the sheet has the layout of a paper. Formats for programs hold all of them.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    module, _, name = FORMATS[form].partition(":")
    function: Callable[[Sheet, str | None], str] = getattr(import_module(module), name)
    return function(sheet, columns)
