"""The application that every verb joins, and what they share."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from rbench import __version__

app = typer.Typer(
    name="rbench",
    help="Measure the robustness of image classifiers: numbers that are right and that cannot be fooled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

NARROWEST = 24  # letters that a wrapped column keeps, however narrow the window


def print_rows(rows: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Rows as JSON for machines, or as the text that `text` makes of them."""
    typer.echo(json.dumps(rows, indent=1, ensure_ascii=False) if as_json else text())


def tabled(rows: Sequence[Mapping[str, Any]], **options: Any) -> str:
    """Rows as columns of text; where a terminal shows them, the last column is wrapped so that lines fit its width."""
    from tabulate import tabulate

    options = {"headers": "keys", "tablefmt": "simple", **options}
    text = tabulate(rows, **options)
    lines = text.splitlines()
    width = max(map(len, lines), default=0) - shutil.get_terminal_size().columns
    if width <= 0 or not sys.stdout.isatty():
        return text
    rule = lines[1].split()
    room = max(len(rule[-1]) - width, NARROWEST)
    return tabulate(rows, **options, maxcolwidths=[*[None] * (len(rule) - 1), room], break_on_hyphens=False)


def done(blocks: int) -> str:
    """What a call had to do: so many blocks of samples, or nothing."""
    return f"{blocks} block{'' if blocks == 1 else 's'} run" if blocks else "nothing to do"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure the robustness of image classifiers."""
