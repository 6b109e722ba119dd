"""Verbs that make what others evaluate: weights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="The model whose weights to make.")],
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's: weights stay unpublished.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of training runs; default runs/train.")] = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Train a model by its card's recipe; the same command again resumes."""
    from rbench import api
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    result = api.train(
        name, seed=seed, out=out, data_dir=data_dir, download=download, progress=not quiet, catalog=found
    )
    typer.echo(json.dumps(asdict(result), indent=1, default=str))
