"""Verbs that read: the catalog, the tables and what a code means."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app, print_rows, tabled
from rbench.errors import RbenchError, unknown

FEW = 6  # scores of a suite that `ls` names; `show` names all


@app.command()
def ls(
    shelf: Annotated[
        str, typer.Argument(help="models, suites, tables, figures, studies, searches, gates, recipes; all by default.")
    ] = "all",
    as_json: words.Json = False,
    catalog: words.CatalogDir = None,
) -> None:
    """List models, suites, tables, figures, studies, searches, gates and recipes, and the plugins that bring some."""
    from rbench.catalog import SHELVES, SINGULAR, Catalog
    from rbench.plugins import plugins

    if shelf not in (*SHELVES, "all"):
        raise unknown("shelf", shelf, [*SHELVES, "all"])
    found = Catalog.find(catalog or ())
    rows: list[dict[str, str]] = []
    kinds = [kind for kind in SHELVES if shelf in (kind, "all")]
    for kind in kinds:
        rows += [{"kind": SINGULAR[kind], "name": name, "what": _what(found, kind, name)} for name in found.files(kind)]
    if shelf == "all":
        rows += [{"kind": "plugin", "name": each.name, "what": _of_plugin(each.imported())} for each in plugins()]
    print_rows(rows, as_json, lambda: tabled(rows))


def _what(catalog: Any, kind: str, name: str) -> str:
    """One line about an entry; a broken one says so, and breaks no other."""
    try:
        return str(WHAT[kind](catalog, catalog.load(kind, name)))
    except RbenchError as error:
        return f"BROKEN: {error}"


def _of_plugin(plugin: Any) -> str:
    return f"BROKEN: {plugin.error}" if plugin.error else f"package {plugin.package}, {plugin.roots[0]}"


def _of_model(catalog: Any, card: Any) -> str:
    state = "" if catalog.weights(card)[1] else f"; not trained yet: {card.remedy}"
    return f"{card.title}, {card.dataset}{state}"


def _of_recipe(_catalog: Any, recipe: Any) -> str:
    parts = [recipe.objective.use.rpartition(":")[2], *(part for part in ("awp", "ews") if getattr(recipe, part))]
    return f"{recipe.epochs} epochs, {' + '.join(parts)}"


def _some(names: Sequence[str]) -> str:
    """The first of many names, and how many others there are."""
    if len(names) <= FEW + 1:
        return ", ".join(names)
    return ", ".join(names[:FEW]) + f" and {len(names) - FEW} more"


WHAT: dict[str, Callable[[Any, Any], str]] = {
    "models": _of_model,
    "suites": lambda _, suite: f"{suite.title}: {_some([score.name for score in suite.scores])}",
    "tables": lambda _, table: table.title,
    "figures": lambda _, figure: " - ".join(filter(None, (figure.title, figure.shows))),
    "studies": lambda _, study: f"{study.title}: {len(study.every)} arms x {len(study.seeds)} seeds",
    "searches": lambda _, search: f"{search.title}: {search.sample} candidates of {search.supernet}",
    "gates": lambda _, gate: f"{gate.title}: {gate.model} by {gate.suite}",
    "recipes": _of_recipe,
}


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A model, suite, table, figure, study, search, gate or recipe; torchattacks[:NAME].")
    ],
    draw: Annotated[Path | None, typer.Option(help="A PNG or PDF of the cells of a RobNet to write, too.")] = None,
    size: words.Size = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Show one entry of the catalog in full, as JSON, or what is known of another package's attacks."""
    from rbench.catalog import ADAPTERS, SHELVES, SINGULAR, Catalog

    if name.partition(":")[0] in ADAPTERS:
        from rbench.adapters import defects

        typer.echo(json.dumps(defects.shown(name), indent=1, ensure_ascii=False))
        return
    found = Catalog.find(catalog or ())
    shown = {}
    for kind in SHELVES:
        files = found.files(kind)
        if name in files:
            shown[SINGULAR[kind]] = {"file": str(files[name]), **asdict(found.load(kind, name))}
    if not shown:
        raise unknown("entry", name, {entry for kind in SHELVES for entry in found.files(kind)})
    if size:
        from rbench.sizes import size_of

        shown.setdefault(SINGULAR["models"], {})["parameters"] = size_of(found.model(name))
    if draw is not None:
        from rbench.report.drawings import draw_card

        draw_card(found.model(name), draw)
    typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="A table of the shelf, or a suite: all its scores for all its models.")],
    form: words.Form = "terminal",
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    columns: words.Columns = None,
    runs: words.Runs = None,
    catalog: words.CatalogDir = None,
) -> None:
    """Render a table from the runs; an empty cell names the command that fills it."""
    from rbench import api
    from rbench.catalog import Catalog

    found = Catalog.find(catalog or ())
    text = api.table(name, form=form, limit=limit, seed=seed, eps=eps, columns=columns, runs=runs, catalog=found)
    typer.echo(text, nl=False)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as RB114, or a name such as grad.fd.")] = None,
) -> None:
    """Explain a finding or a refusal by its code; without one, list them all."""
    from rbench import api

    typer.echo(api.explain(code))
