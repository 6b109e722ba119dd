"""Sheets to text: terminal and Markdown, LaTeX, CSV and JSON."""

from collections.abc import Callable, Mapping
from importlib import import_module

from rbench.errors import unknown
from rbench.pages import Sheet

FORMATS: Mapping[str, str] = {
    "terminal": "rbench.report.markdown:terminal",
    "markdown": "rbench.report.markdown:markdown",
    "latex": "rbench.report.latex:latex",
    "csv": "rbench.report.machine:csv",
    "json": "rbench.report.machine:json",
}


def render(sheet: Sheet, form: str) -> str:
    """A sheet in one of `FORMATS`; each format is imported on first use."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    module, _, name = FORMATS[form].partition(":")
    function: Callable[[Sheet], str] = getattr(import_module(module), name)
    return function(sheet)
