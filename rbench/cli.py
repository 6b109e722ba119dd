"""Words to one api call to an exit code; progress on stderr, results on stdout."""

import json
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rbench import __version__, words
from rbench.errors import InterruptedRunError, RbenchError, UsageError, unknown

UNDECIDED, USAGE, INTERRUPTED = 2, 3, 5
BadCommand: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, wherever this typer keeps its click

app = typer.Typer(
    name="rbench",
    help="Measure the robustness of image classifiers: numbers that are right and that cannot be fooled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def ls(
    shelf: Annotated[str, typer.Argument(help="models, suites, tables or recipes; all of them by default.")] = "all",
    as_json: words.Json = False,
    catalog: words.CatalogDir = None,
) -> None:
    """List models, suites, tables and recipes."""
    from tabulate import tabulate

    from rbench.catalog import SHELVES, Catalog

    if shelf not in (*SHELVES, "all"):
        raise unknown("shelf", shelf, [*SHELVES, "all"])
    found = Catalog.find(catalog or ())
    rows: list[dict[str, str]] = []
    kinds = [kind for kind in SHELVES if shelf in (kind, "all")]
    for kind in kinds:
        rows += [{"kind": kind[:-1], "name": name, "what": _what(found, kind, name)} for name in found.files(kind)]
    _print(rows, as_json, lambda: tabulate(rows, headers="keys", tablefmt="simple"))


def _what(catalog: Any, kind: str, name: str) -> str:
    """One line about an entry."""
    if kind == "models":
        card = catalog.model(name)
        state = "" if catalog.weights(card)[1] else f"; not trained yet: rbench train {name}"
        return f"{card.title}, {card.dataset}{state}"
    if kind == "suites":
        suite = catalog.suite(name)
        return f"{suite.title}: {', '.join(score.name for score in suite.scores)}"
    if kind == "tables":
        return str(catalog.table(name).title)
    recipe = catalog.recipe(name)
    return f"{recipe.epochs} epochs, {recipe.objective}"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A model, suite, table or recipe.")], catalog: words.CatalogDir = None
) -> None:
    """Show one entry of the catalog in full, as JSON."""
    from rbench.catalog import SHELVES, Catalog

    found = Catalog.find(catalog or ())
    shown = {}
    for kind in SHELVES:
        files = found.files(kind)
        if name in files:
            shown[kind[:-1]] = {"file": str(files[name]), **asdict(found.load(kind, name))}
    if not shown:
        raise unknown("entry", name, {entry for kind in SHELVES for entry in found.files(kind)})
    typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))


@app.command()
def plan(
    suite: words.SuiteName,
    model: words.ModelName,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    weights: words.Weights = None,
    probe: words.Probes = None,
    backend: words.Backend = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    as_json: words.Json = False,
    catalog: words.CatalogDir = None,
) -> None:
    """List what an evaluation would run, and what is already there."""
    from tabulate import tabulate

    from rbench import api
    from rbench.catalog import Catalog

    rows = api.plan(
        model, suite, limit=limit, seed=seed, eps=eps, weights=weights, probes=probe or (), backend=backend,
        runs=runs, data_dir=data_dir, catalog=Catalog.find(catalog or ()),
    )  # fmt: skip
    _print(rows, as_json, lambda: tabulate(rows, headers="keys", tablefmt="simple"))


@app.command("eval")
def evaluate(
    suite: words.SuiteName,
    model: words.ModelName,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.EpsList = None,
    weights: words.Weights = None,
    probe: words.Probes = None,
    backend: words.Backend = None,
    batch: words.Batch = None,
    workers: words.Workers = None,
    device: words.Device = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    fresh: words.Fresh = False,
    strict: words.Strict = False,
    form: words.Form = "terminal",
    as_json: words.Json = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Evaluate a model by a suite, or draw its curve over several eps; the same command again resumes."""
    from rbench import api, studies
    from rbench.catalog import Catalog
    from rbench.report import FORMATS, render

    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    options: dict[str, Any] = {
        "limit": limit, "seed": seed, "weights": weights, "probes": probe or (), "backend": backend, "batch": batch,
        "workers": workers, "device": device, "runs": runs, "data_dir": data_dir, "download": download,
        "fresh": fresh, "progress": not quiet, "catalog": Catalog.find(catalog or ()),
    }  # fmt: skip
    result: api.Evaluation | studies.CurveStudy
    if eps is not None and "," in eps:
        result = studies.security_curve(model, suite, eps, **options)
    else:
        result = api.evaluate(model, suite, eps=eps, **options)
    state = "nothing to do" if not result.fresh_blocks else f"{result.fresh_blocks} blocks run"
    typer.echo(f"complete: {state}; {result.where}", err=True)
    for line in result.left_out:
        typer.echo(f"left out: {line}", err=True)
    typer.echo(render(result.sheet, "json" if as_json else form), nl=False)
    if limit is not None:
        typer.echo(f"WARNING: numbers of a subset (--limit {limit}); not comparable with published ones.", err=True)
    if strict and result.verdict != "reliable":
        raise typer.Exit(UNDECIDED)


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="A table of the shelf, or a suite: all its scores for all its models.")],
    form: words.Form = "terminal",
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Render a table from the runs; an empty cell names the command that fills it."""
    from rbench import api
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    typer.echo(api.table(name, form=form, limit=limit, seed=seed, eps=eps, runs=runs, catalog=found), nl=False)


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


@app.command()
def check(
    model: Annotated[str | None, typer.Option(help="Check how this model behaves instead of the shelves.")] = None,
    suite: Annotated[str | None, typer.Option(help="The suite under which to check the model.")] = None,
    backend: words.Backend = None,
    probe: words.Probes = None,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    workers: words.Workers = None,
    device: words.Device = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Check every file on the shelves, how a model behaves, or how far another package's attacks agree with ours."""
    from rbench import api, studies
    from rbench.catalog import Catalog
    from rbench.report.agreements import agreements

    found = Catalog.find(catalog or ())
    if backend is None:
        for line in api.check(model, suite, catalog=found):
            typer.echo(f"ok  {line}")
        return
    if model is None or suite is None:
        raise UsageError("a cross-check needs a model and a suite: rbench check --model NAME --suite NAME --backend B.")
    rows = studies.crosscheck(
        model, suite, backend, probes=probe or (), limit=limit, seed=seed, eps=eps, workers=workers, device=device,
        runs=runs, data_dir=data_dir, progress=not quiet, catalog=found,
    )  # fmt: skip
    typer.echo(agreements(rows, backend), nl=False)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as RB114, or a name such as grad.fd.")] = None,
) -> None:
    """Explain a finding or a refusal by its code; without one, list them all."""
    from rbench import api

    typer.echo(api.explain(code))


def _print(rows: Any, as_json: bool, text: Callable[[], str]) -> None:
    typer.echo(json.dumps(rows, indent=1, ensure_ascii=False) if as_json else text())


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure the robustness of image classifiers."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of one command: 0 fine, 2 suspect or unreliable, 3 usage, 4 data or model, 5 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is an interruption too
    try:
        code = app(arguments, prog_name="rbench", standalone_mode=False)
    except BadCommand as error:
        getattr(error, "show", lambda: None)()
        return USAGE
    except RbenchError as error:
        typer.echo(f"rbench: {error}", err=True)
        if error.code:
            typer.echo(f"What it means: rbench explain {error.code}", err=True)
        if isinstance(error, InterruptedRunError):
            typer.echo(f"To resume: rbench {shlex.join(arguments)}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("rbench: interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0
