"""The verb that makes one run of its shares."""

from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app


@app.command()
def merge(
    folder: Annotated[list[Path], typer.Argument(help="The folders of all shares, or folders that hold them.")],
    runs: words.Runs = None,
) -> None:
    """Make one run of all shares of an evaluation that `eval --shard` ran: the same bytes as one run."""
    from rbench.sharding import merge as merged

    for each in merged(folder, runs=runs):
        typer.echo(f"complete: {each.shares} shards merged; to see the scores: {each.command}", err=True)
        typer.echo(each.folder)
