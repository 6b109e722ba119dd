"""The application that every verb joins, and what they share."""

import json
from collections.abc import Callable
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


def print_rows(rows: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Rows as JSON for machines, or as the text that `text` makes of them."""
    typer.echo(json.dumps(rows, indent=1, ensure_ascii=False) if as_json else text())


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
