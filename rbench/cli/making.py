"""The verb that makes corrupted datasets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app
from rbench.errors import UsageError

if TYPE_CHECKING:
    from rbench.making.run import Made

PLURAL = {"corruption": "corruptions", "severity": "severities"}


@app.command()
def corrupt(
    data: Annotated[
        str | None,
        typer.Option(help="digits, cifar10, cifar100, tiny-imagenet, imagenet or package.module:function."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder for the corrupted dataset.")] = None,
    corruption: Annotated[
        list[str] | None, typer.Option(help="Only this corruption; may be repeated. The 15 common ones by default.")
    ] = None,
    extra: Annotated[bool, typer.Option("--extra", help="The four extra corruptions too.")] = False,
    severity: Annotated[list[int] | None, typer.Option(help="Only this severity, 1 to 5; may be repeated.")] = None,
    generator: Annotated[str, typer.Option(help="hendrycks or imagecorruptions.")] = "hendrycks",
    table: Annotated[
        int | None, typer.Option(help="The constants for images of this size, by default theirs: 224, 299, 64, 32.")
    ] = None,
    seed: words.Seed = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="npy (CIFAR-10-C) or folders (ImageNet-C); by the dataset's kind.")
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Instead of a dataset: this PNG with all 19 corruptions of one image.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The image to preview.")] = None,
    size: Annotated[int | None, typer.Option(help="The size of the preview's image in pixels; default 224.")] = None,
    frost: Annotated[Path | None, typer.Option(help="A folder of frost photographs.")] = None,
    workers: words.Workers = None,
    engine: words.Engine = "local",
    address: words.Address = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    quiet: words.Quiet = False,
) -> None:
    """Make a corrupted dataset in an official layout, or preview corruptions; the same command again resumes."""
    from rbench.corruptions.tables import COMMON, CORRUPTIONS, EXTRA

    options: dict[str, Any] = {
        "severities": severity or (1, 2, 3, 4, 5), "generator": generator, "table": table, "seed": seed,
        "frost": frost, "data_dir": data_dir, "download": download,
    }  # fmt: skip
    if preview is not None:
        if out is not None or form is not None or limit is not None:
            raise UsageError("--preview makes one picture; leave out --out, --format and --limit.")
        from rbench.making.preview import preview as draw

        names = (*corruption, *(EXTRA if extra else ())) if corruption else CORRUPTIONS
        typer.echo(draw(preview, data=data, image=image, size=size, corruptions=names, **options))
        return
    if data is None or out is None:
        raise UsageError(
            "name a dataset and a folder: rbench corrupt --data digits --out FOLDER; or --preview FILE.png."
        )
    if image is not None or size is not None:
        raise UsageError("--image and --size go with --preview FILE.png.")
    from rbench.making.run import make

    names = (*(corruption or COMMON), *(EXTRA if extra else ()))
    options |= {
        "limit": limit,
        "form": form,
        "workers": workers,
        "progress": not quiet,
        "engine": engine,
        "address": address,
    }
    _report(make(data, out, corruptions=names, **options))


def _report(made: "Made") -> None:
    """What was made on stderr, and its folder on stdout."""
    manifest = made.manifest
    state = f"{made.fresh:,} images made" if made.fresh else "nothing to do"
    counts = [(len(manifest["corruptions"]), "corruption"), (len(manifest["severities"]), "severity")]
    kinds = " x ".join(f"{n} {word if n == 1 else PLURAL[word]}" for n, word in counts)
    parts = f"{kinds} x {manifest['count']:,} images of {manifest['dataset']}"
    typer.echo(f"complete: {state}; {parts}, layout {made.form}", err=True)
    frost = (manifest["frost"] or {}).get("source", "photographs")
    if frost != "photographs":
        typer.echo(f"WARNING: frost is {frost}; name a folder of the authors' photographs with --frost.", err=True)
    typer.echo(made.folder)
