"""Verbs about trained models in the plural: studies of trainings, searches of architectures, analyses, figures."""

from pathlib import Path
from typing import Annotated

import typer

from rbench import words
from rbench.cli._app import app
from rbench.cli.training import parsed


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="The study: see `rbench ls studies`.")],
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    seeds: Annotated[int | None, typer.Option(min=1, help="Only the first so many of the study's seeds.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do nothing: say how much there is to do.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder of the report; default runs/studies/NAME.")] = None,
    runs: words.Runs = None,
    workers: words.Workers = None,
    device: words.Device = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
    fresh: words.Fresh = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Train and evaluate the arms of a study and compare them; the same command again resumes."""
    from rbench import studies
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    if dry_run:
        typer.echo(studies.left(name, seeds=seeds, runs=runs, catalog=found))
        return
    result = studies.study(
        name, jobs=jobs, seeds=seeds, runs=runs, out=out, workers=workers or jobs, device=device,
        data_dir=data_dir, download=download, progress=not quiet, fresh=fresh, catalog=found,
    )  # fmt: skip
    typer.echo(result.text, nl=False)
    typer.echo(f"complete: report, figures and data in {result.folder}", err=True)


@app.command()
def search(
    name: Annotated[str, typer.Argument(help="The search: see `rbench ls searches`.")],
    jobs: Annotated[int, typer.Option(min=1, help="Candidates at a time, each in a process of its own.")] = 1,
    sample: Annotated[int | None, typer.Option(min=1, help="Only the first so many candidates.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do nothing: say how much there is to do.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder of the report; default runs/searches/NAME.")] = None,
    runs: words.Runs = None,
    device: words.Device = None,
    engine: words.Engine = "local",
    address: words.Address = None,
    gpus: words.Gpus = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
    fresh: words.Fresh = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Search a space for robust architectures: train its supernet, fine-tune and attack candidates; resumes."""
    from rbench import studies
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    if dry_run:
        typer.echo(studies.unsearched(name, runs=runs, catalog=found))
        return
    result = studies.search(
        name, jobs=jobs, sample=sample, runs=runs, out=out, device=device, data_dir=data_dir, download=download,
        progress=not quiet, fresh=fresh, engine=engine, address=address, gpus=gpus, catalog=found,
    )  # fmt: skip
    typer.echo(result.text, nl=False)
    typer.echo(f"complete: report, figures and data in {result.folder}", err=True)


@app.command()
def analyse(
    name: Annotated[
        str, typer.Argument(help="blocks, confidence, dependence, detector, distance, filters, fsp, readout.")
    ],
    model: Annotated[
        list[str], typer.Option("--model", help="A model, name@weights, or name@.../epochs/*; may be repeated.")
    ],
    suite: words.SuiteName,
    limit: Annotated[int, typer.Option(min=2, help="The first so many images.")] = 500,
    corruption: Annotated[str, typer.Option(help="The corruption that is shown.")] = "fog",
    severity: Annotated[int, typer.Option(min=1, max=5, help="Its severity.")] = 3,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the analysis and its value: rho=0.7; may be repeated.")
    ] = None,
    device: words.Device = None,
    out: Annotated[Path | None, typer.Option(help="The folder of data and figure; default runs/analyses/...")] = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Analyse trained models as the figures of papers do: data as CSV, figure as PNG and PDF."""
    from tabulate import tabulate

    from rbench import studies
    from rbench.catalog import Catalog

    found = studies.analyse(
        name, model, suite, limit=limit, corruption=corruption, severity=severity, device=device, runs=runs, out=out,
        data_dir=data_dir, download=download, progress=not quiet, catalog=Catalog.find(catalog or ()),
        options=parsed(option or (), "--option rho=0.7"),
    )  # fmt: skip
    typer.echo(found.protocol, err=True)
    if found.doubt:
        typer.echo(found.doubt, err=True)
    if found.seeds is not None:
        rows = found.seeds.drop(columns="model").astype(object).where(found.seeds.notna(), None)
        typer.echo(tabulate(rows, "keys", showindex=False, floatfmt=".2f", missingval="-"), err=True)
    typer.echo(found.folder)


@app.command()
def figure(
    name: Annotated[list[str], typer.Argument(help="Figures: see `rbench ls figures`.")],
    out: Annotated[Path | None, typer.Option(help="The folder of the files; default runs/figures.")] = None,
    runs: words.Runs = None,
    device: words.Device = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Draw a figure of what was run: PNG, PDF and its data as CSV; what is missing names its command."""
    from rbench import studies
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    for each in name:
        files = studies.figure(
            each, out=out, runs=runs, device=device, data_dir=data_dir, download=download, progress=not quiet,
            catalog=found,
        )  # fmt: skip
        typer.echo(files[0])
