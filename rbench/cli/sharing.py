"""Verbs that hand on what was measured: to other programs, and to other people."""

from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The folder for runs.parquet, scores.parquet and samples.parquet.")],
    suite: Annotated[str, typer.Option(help="Only this suite; a pattern such as 'digits-*'.")] = "*",
    model: Annotated[str, typer.Option(help="Only this model; a pattern.")] = "*",
    probe: Annotated[str, typer.Option(help="Only the samples of this probe; a pattern.")] = "*",
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Write all runs, their scores and their samples as Parquet files for pandas, DuckDB or Polars."""
    from rbench import api
    from rbench.catalog import Catalog

    frames = api.frames(runs, suite=suite, model=model, probe=probe, catalog=Catalog.find(catalog or ()))
    for path in frames.write(out):
        typer.echo(path)
