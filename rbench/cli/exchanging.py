"""Verbs about RobustBench's leaderboards: theirs beside ours, and ours as an entry of theirs."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app, print_rows
from rbench.errors import UsageError, unknown

if TYPE_CHECKING:
    from rbench.exchange import Beside

robustbench = typer.Typer(help="RobustBench's leaderboards beside our runs, and runs as entries.", no_args_is_help=True)
app.add_typer(robustbench, name="robustbench")
FORMS = ("terminal", "csv", "json")


@robustbench.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="A checkout of RobustBench's repository, or its folder model_info.")],
    suite: words.SuiteName,
    form: Annotated[str, typer.Option("--format", "-f", help="terminal, csv, json.")] = "terminal",
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Print the leaderboard that asks what a suite asks, with our runs of its models beside it; evaluates nothing."""
    from tabulate import tabulate

    from rbench.api import runs_root
    from rbench.catalog import Catalog
    from rbench.exchange import beside

    if form not in FORMS:
        raise unknown("format", form, FORMS)
    found, told = beside(Catalog.find(catalog or ()), runs_root(runs), folder, suite)
    rows = [_row(each) for each in found]
    if form == "csv":
        sink = io.StringIO()
        writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        typer.echo(sink.getvalue(), nl=False)
        return
    shown = [{key: value for key, value in row.items() if key not in ("link", "file", "run")} for row in rows]
    print_rows(rows, form == "json", lambda: tabulate(shown, headers="keys", tablefmt="simple", floatfmt=".2f"))
    typer.echo(told, err=form == "json")


def _row(each: "Beside") -> dict[str, Any]:
    """A line of the comparison; numbers in percent, those of the leaderboard as it has them."""
    entry = each.entry
    return {
        "model": each.model,
        "clean": entry.clean if entry else None,
        "clean, ours": _rounded(each.clean),
        "robust": entry.robust if entry else None,
        "robust, ours": _rounded(each.robust),
        "difference": _rounded(each.difference),
        "n, ours": each.n or None,
        "external": entry.external if entry else None,
        "reported": entry.reported if entry else None,
        "eps": entry.eps if entry else None,
        "doubt": "unreliable" if entry and entry.unreliable else None,
        "venue": entry.venue if entry else None,
        "architecture": entry.architecture if entry else None,
        "link": entry.link if entry else None,
        "file": str(entry.file) if entry else None,
        "run": str(each.run) if each.run else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


@robustbench.command()
def submit(
    suite: words.SuiteName,
    model: words.ModelName,
    out: Annotated[Path, typer.Option(help="The folder for DATASET/THREAT/MODEL.json.")],
    say: Annotated[
        list[str] | None,
        typer.Option(
            "--say", help="What only its authors know, KEY=VALUE: link, name, authors, venue, architecture, ..."
        ),
    ] = None,
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Write a whole run as an entry of RobustBench's leaderboard, in its JSON format; evaluates nothing."""
    from rbench.api import runs_root
    from rbench.catalog import Catalog
    from rbench.exchange import submit as submitted

    path, empty = submitted(Catalog.find(catalog or ()), runs_root(runs), suite, model, _said(say or ()), out)
    typer.echo(path)
    if empty:
        typer.echo(f"to fill in: {', '.join(empty)} (--say KEY=VALUE)", err=True)


def _said(pairs: Any) -> dict[str, Any]:
    """KEY=VALUE pairs; true, false and whole numbers are what they are in JSON."""
    said: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--say {pair!r} is no KEY=VALUE.")
        said[key] = {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
    return said
