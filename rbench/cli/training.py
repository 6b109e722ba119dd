"""The verb that makes weights."""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app, print_rows
from rbench.errors import UsageError


@app.command()
def train(
    names: Annotated[list[str], typer.Argument(help="The models whose weights to make; patterns such as '*-digits'.")],
    seed: Annotated[int | None, typer.Option(help="Another seed than the recipe's: weights stay unpublished.")] = None,
    preset: Annotated[str | None, typer.Option(help="Changes that the recipe lists, such as released.")] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="A key of the recipe and its value: ews.rho=0.7; may be repeated.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Models to train at a time, each in a process of its own.")] = 1,
    accumulate: Annotated[int, typer.Option(min=1, help="Parts of a batch that does not fit, one after another.")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that make batches; by default 0 on a CPU.")
    ] = None,
    device: words.Device = None,
    track: words.Track = None,
    keep_epochs: Annotated[
        bool, typer.Option("--keep-epochs", help="Also keep the weights after every epoch, in epochs/ of the folder.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: print sizes, and hours and memory from 3 timed steps.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The folder of training runs; default runs/train.")] = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    as_json: words.Json = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Train models by their cards' recipes; the same command again resumes. Runs under torchrun, too."""
    from rbench import api
    from rbench.catalog import Catalog
    from rbench.training.ranks import speaks

    options: dict[str, Any] = {
        "seed": seed, "preset": preset, "override": parsed(override or ()), "device": device,
        "accumulate": accumulate, "progress": not quiet, "catalog": Catalog.find(catalog or ()),
    }  # fmt: skip
    if dry_run:
        estimates = api.estimate(names, **options)
        if speaks():
            print_rows([asdict(each) for each in estimates], as_json, lambda: "\n".join(map(str, estimates)))
        return
    options |= {
        "workers": workers, "track": tuple(track or ()), "keep_epochs": keep_epochs, "out": out, "data_dir": data_dir,
        "download": download,
    }  # fmt: skip
    if len(names) == 1 and names[0] in options["catalog"].files("models"):
        results = [api.train(names[0], **options)]
    else:
        results = api.train_all(names, jobs=jobs, **options)
    if speaks():
        print_rows([result.summary for result in results], as_json, lambda: "\n".join(map(str, results)))


def parsed(override: Sequence[str], example: str = "--override ews.rho=0.7") -> dict[str, Any]:
    """Words such as ews.rho=0.7 as keys and values; a value that is no TOML is taken as text."""
    found: dict[str, Any] = {}
    for word in override:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise UsageError(f"{example.split(maxsplit=1)[0]} {word!r} is no key=value; write, say, {example}.")
        try:
            found[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = text.strip()
    return found
