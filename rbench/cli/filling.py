"""What plan and eval do with a table in the place of a suite and a model."""

from collections.abc import Mapping
from typing import Any

import typer

from rbench.cli._app import done, print_rows, tabled
from rbench.errors import UsageError

UNDECIDED, LACKING = 2, 4


def pair(verb: str, suite: str | None, model: str | None) -> tuple[str, str]:
    """The suite and model of an evaluation; raises `UsageError` if either is missing."""
    if suite is None or model is None:
        missing = "--suite" if suite is None else "--model"
        raise UsageError(
            f"missing option '{missing}': rbench {verb} --suite NAME --model NAME, or --table NAME for a table's runs."
        )
    return suite, model


def alone(table: str, others: Mapping[str, Any]) -> None:
    """Raise `UsageError` for options that do not go with --table."""
    given = [option for option, value in others.items() if value]
    if given:
        raise UsageError(
            f"{given[0]} does not go with --table {table}, which names the suites, scores and models itself; "
            "drop one of them."
        )


def print_plan(table: str, options: Mapping[str, Any], as_json: bool) -> None:
    """What a table lacks, run by run, and the sums."""
    from rbench.filling import plan_table

    rows = plan_table(table, **options)

    def text() -> str:
        sums = {key: _sum(rows, key) for key in ("done", "left", "blocks", "passes")}
        lines = [*rows, {"suite": "sum", "model": f"{len(rows)} runs", **sums, "remark": ""}]
        return tabled(lines, intfmt=",", missingval="?")

    print_rows(rows, as_json, text)


def _sum(rows: list[dict[str, Any]], key: str) -> int | str | None:
    """The sum of a column, at least so much where a row is not known, None if that says nothing."""
    known = [row[key] for row in rows if row[key] is not None]
    if not any(known) and len(known) < len(rows):
        return None
    return sum(known) if len(known) == len(rows) else f">= {sum(known):,}"


def fill(table: str, form: str, columns: str | None, options: Mapping[str, Any], *, strict: bool) -> None:
    """Run what a table lacks and print it; leaves with the code of missing data if a run could not be made."""
    from rbench import api, filling

    lacking, verdicts = [], []
    for each in filling.fill(table, **options):
        if each.evaluation is None:
            lacking.append(each)
            typer.echo(f"{each.suite}, {each.model}: left out: {each.error}", err=True)
            continue
        verdicts.append(each.evaluation.verdict)
        typer.echo(f"{each.suite}, {each.model}: {done(each.evaluation.fresh_blocks)}", err=True)
    shown = {key: options[key] for key in ("limit", "seed", "eps", "runs", "catalog")}
    typer.echo(api.table(table, form=form, columns=columns, **shown), nl=False)
    for each in lacking:
        typer.echo(f"still missing: {each.suite}, {each.model}: {each.error}", err=True)
    if lacking:
        raise typer.Exit(LACKING)
    if strict and any(verdict != "reliable" for verdict in verdicts):
        raise typer.Exit(UNDECIDED)
