"""The verb that compares two models on the same images."""

from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app, print_rows


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A model, name@weights, or the folder of a run.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    suite: words.SuiteName,
    score: Annotated[list[str] | None, typer.Option(help="Only this score of the suite; may be repeated.")] = None,
    draw: Annotated[Path | None, typer.Option(help="A PNG or PDF of the images on which they differ.")] = None,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    probe: words.Probes = None,
    backend: words.Backend = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    as_json: words.Json = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Compare two models on the same images: paired differences, McNemar's test, the images; evaluates nothing."""
    from rbench import comparing
    from rbench.catalog import Catalog
    from rbench.report.pairs import pairs, rows

    if draw is not None:
        comparing.drawable(draw)
    found = comparing.compare(
        first, second, suite, scores=score or (), limit=limit, seed=seed, eps=eps, probes=probe or (), backend=backend,
        runs=runs, catalog=Catalog.find(catalog or ()),
    )  # fmt: skip
    print_rows(
        rows(found.differences), as_json, lambda: pairs(found.sides, found.differences, found.protocol).rstrip("\n")
    )
    if draw is not None:
        comparing.draw(found, score[0] if score else found.differences[-1].score, draw, data_dir)
