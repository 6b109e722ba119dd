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


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="The model: see `rbench ls models`.")],
    hf: Annotated[bool, typer.Option("--hf", help="With Hugging Face's metadata in front, as its README.md.")] = False,
    size: words.Size = False,
    out: Annotated[Path | None, typer.Option(help="The file to write instead of printing.")] = None,
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Print a model's card, filled from its runs: provenance, scores with their doubt, commands and limits."""
    from rbench import api
    from rbench.catalog import Catalog
    from rbench.errors import StoreError
    from rbench.files import write_atomically

    text = api.card(name, hf=hf, size=size, runs=runs, catalog=Catalog.find(catalog or ()))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror or error}; name another file with --out.") from error
    typer.echo(out)
