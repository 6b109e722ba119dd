"""Verbs that guard: the baseline of a gate, and the gate."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app

baselines = typer.Typer(help="The baselines of gates.", no_args_is_help=True)
app.add_typer(baselines, name="baseline")
GateName = Annotated[str, typer.Argument(help="The gate: see `rbench ls gates`.")]
BaselineFile = Annotated[
    Path | None, typer.Option("--baseline", help="The baseline's file; default beside the gate's own.")
]


@baselines.command()
def save(
    name: GateName,
    model: words.OrModel = None,
    weights: words.Weights = None,
    file: BaselineFile = None,
    keep_images: Annotated[
        bool | None, typer.Option(help="Keep the attacked images, for a gate to show first; by default as before.")
    ] = None,
    runs: words.Runs = None,
    batch: words.Batch = None,
    workers: words.Workers = None,
    device: words.Device = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    fresh: words.Fresh = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Evaluate the model of a gate on all images and write its baseline; prints what changed."""
    from rbench.catalog import Catalog

    _save(
        name, model=model, weights=weights, baseline=file, images=keep_images, runs=runs, batch=batch,
        workers=workers, device=device, data_dir=data_dir, download=download, fresh=fresh, progress=not quiet,
        catalog=Catalog.find(catalog or ()),
    )  # fmt: skip


def _save(name: str, **options: Any) -> None:
    from rbench.gating import saving
    from rbench.gating.snapshot import read
    from rbench.gating.text import changes

    path, before = saving.save(name, **options)
    typer.echo(changes(before, read(path.with_suffix(""), "")))
    typer.echo(path)


@app.command()
def gate(
    name: GateName,
    model: words.OrModel = None,
    weights: words.Weights = None,
    file: BaselineFile = None,
    images: Annotated[int | None, typer.Option(min=1, help="Attack at most so many images.")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch whose policy counts; by default CI's own.")] = None,
    junit: Annotated[Path | None, typer.Option(help="A file for JUnit's XML.")] = None,
    summary: Annotated[
        Path | None, typer.Option(envvar="GITHUB_STEP_SUMMARY", help="A Markdown file to add a summary to.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="No gate: make this model the new baseline.")] = False,
    runs: words.Runs = None,
    batch: words.Batch = None,
    workers: words.Workers = None,
    device: words.Device = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    as_json: words.Json = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> int:
    """Has a model lost robustness against its baseline? Leaves with 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE."""
    from rbench.catalog import Catalog
    from rbench.errors import UsageError
    from rbench.gating import text
    from rbench.gating.gate import gate as gated

    shared: dict[str, Any] = {
        "model": model, "weights": weights, "baseline": file, "batch": batch, "workers": workers, "device": device,
        "data_dir": data_dir, "download": download, "progress": not quiet, "catalog": Catalog.find(catalog or ()),
    }  # fmt: skip
    own = {"--images": images, "--branch": branch, "--junit": junit, "--json": as_json}
    if not update and runs is not None:
        raise UsageError("--runs goes with --update: a gate keeps nothing.")
    if update:
        if given := [word for word, value in own.items() if value]:
            raise UsageError(f"--update goes without {given[0]}: it is no gate.")
        _save(name, runs=runs, **shared)
        return 0
    found = gated(name, images=images, branch=branch, **shared)
    shown: Any = json.dumps(text.data(found), indent=1) if as_json else text.text(found).rstrip("\n")
    typer.echo(shown)
    for file_ in filter(None, (junit, summary)):
        file_.parent.mkdir(parents=True, exist_ok=True)
    if junit is not None:
        junit.write_text(text.junit(found), encoding="utf-8")
    if summary is not None:
        with summary.open("a", encoding="utf-8") as sink:
            sink.write(text.markdown(found) + os.linesep)
    return found.exit_code
