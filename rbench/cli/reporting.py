"""The verb that shows everything under a folder of runs."""

from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="The folder of runs.")],
    html: Annotated[Path, typer.Option(help="The folder of the site to write: open its index.html.")],
    gallery: Annotated[
        int, typer.Option(min=0, help="Show N fooled samples an attack, made anew by its model: 8 is plenty.")
    ] = 0,
    data_dir: words.DataDir = None,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Write a static site of everything under a folder of runs, which works from disk."""
    from rbench import api
    from rbench.catalog import Catalog

    known = Catalog.find(catalog or ())
    typer.echo(api.site(runs, html, gallery=gallery, data_dir=data_dir, progress=not quiet, catalog=known))
