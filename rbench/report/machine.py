"""Tables for programs: CSV, a row a cell, and JSON; values are shares in [0, 1] at full precision."""

import csv as csv_writer
import io
import json as json_writer
from dataclasses import asdict
from typing import Any

from rbench.pages import Cell, Column, Sheet


def csv(sheet: Sheet, columns: str | None = None) -> str:  # noqa: ARG001
    """One row for each cell: model (or eps), column, value, low, high, n, total, findings, missing, published.

    `missing` is the command that fills an empty cell or, after "no value: ", why nothing can.
    """
    sink = io.StringIO()
    writer = csv_writer.writer(sink, lineterminator="\n")
    writer.writerow(
        [sheet.rows_are, "column", "value", "low", "high", "n", "total", "findings", "missing", "published"]
    )
    for (model, key), cell in sheet.cells.items():
        entry = _entry(cell)
        low, high = entry["interval"] or ("", "")
        codes = " ".join(finding["code"] for finding in entry["findings"])
        missing = f"no value: {cell.undefined}" if cell.undefined else cell.missing
        published = cell.printed.text if cell.printed is not None else ""
        value = "" if entry["value"] is None else entry["value"]
        writer.writerow([model, key, value, low, high, entry["n"], cell.total, codes, missing, published])
    return sink.getvalue()


def json(sheet: Sheet, columns: str | None = None) -> str:  # noqa: ARG001
    """The whole sheet as one JSON object.

    `cells[model][column]` holds value, interval, n, total, doubt (suspect, unreliable or null), findings and
    the command that is missing, or `undefined`, why there can be no value, and `published`, what a paper prints there
    and in which unit; a column has a `group` if it shares a heading, and is `relative` if it compares with a baseline;
    `verdicts[model][suite]` are those of the runs.
    """
    cells: dict[str, dict[str, Any]] = {model: {} for model, _ in sheet.rows}
    for (model, key), cell in sheet.cells.items():
        cells[model][key] = {**_entry(cell), "total": cell.total, "missing": cell.missing}
        if cell.undefined:
            cells[model][key]["undefined"] = cell.undefined
        if cell.printed is not None:
            cells[model][key]["published"] = asdict(cell.printed)
    verdicts: dict[str, dict[str, str]] = {}
    for (model, suite), verdict in sheet.verdicts.items():
        verdicts.setdefault(model, {})[suite] = verdict
    value = {
        "name": sheet.name,
        "title": sheet.title,
        "protocol": sheet.protocol,
        "models" if sheet.rows_are == "model" else sheet.rows_are: dict(sheet.rows),
        "columns": [_column(column) for column in sheet.columns],
        "cells": cells,
        "verdicts": verdicts,
    }
    value |= {key: getattr(sheet, key) for key in ("groups", "versus", "notes") if getattr(sheet, key)}
    return json_writer.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _column(column: Column) -> dict[str, Any]:
    entries = asdict(column)
    del entries["decimals"], entries["versus"], entries["accuracy"]
    optional = ("group", "relative", "detail")
    return {key: value for key, value in entries.items() if key not in optional or value}


def _entry(cell: Cell) -> dict[str, Any]:
    if cell.score is None:
        return {"value": None, "interval": None, "n": 0, "doubt": None, "findings": []}
    return {**asdict(cell.score), "doubt": cell.verdict if cell.verdict != "reliable" else None}
