"""Verbs about evaluations: plan, eval and check."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from rbench import words
from rbench.cli._app import app, done
from rbench.cli.filling import UNDECIDED, alone, fill, pair, print_plan
from rbench.cli.planning import print_one
from rbench.errors import UsageError, unknown


@app.command()
def plan(
    suite: words.OrSuite = None,
    model: words.OrModel = None,
    table: words.OrTable = None,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.Eps = None,
    weights: words.Weights = None,
    arch: words.Arch = None,
    probe: words.Probes = None,
    backend: words.Backend = None,
    time: Annotated[
        bool, typer.Option("--time", help="Load model and data, time two batches, and say the hours and the memory.")
    ] = False,
    batch: words.Batch = None,
    workers: words.Workers = None,
    device: words.Device = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    as_json: words.Json = False,
    catalog: words.CatalogDir = None,
) -> None:
    """List what an evaluation, or all those of a table, would run, at what cost, and what is already there."""
    from rbench.catalog import Catalog
    from rbench.subject import of_checkpoint

    options: dict[str, Any] = {
        "limit": limit, "seed": seed, "eps": eps, "runs": runs, "data_dir": data_dir,
        "catalog": Catalog.find(catalog or ()),
    }  # fmt: skip
    own = {"--weights": weights, "--arch": arch, "--probe": probe, "--backend": backend, "--time": time}
    means = {"batch": batch, "workers": workers, "device": device}
    if table is not None:
        alone(table, {"--suite": suite, "--model": model, **own, **{f"--{name}": means[name] for name in means}})
        print_plan(table, options, as_json)
        return
    suite, model = pair("plan", suite, model)
    model, weights = of_checkpoint(model, arch, weights)
    options |= {"model": model, "suite": suite, "weights": weights, "probes": probe or (), "backend": backend}
    print_one(options, means, time=time, as_json=as_json)


@app.command("eval")
def evaluate(
    suite: words.OrSuite = None,
    model: words.OrModel = None,
    table: words.OrTable = None,
    limit: words.Limit = None,
    seed: words.Seed = 0,
    eps: words.EpsList = None,
    weights: words.Weights = None,
    arch: words.Arch = None,
    probe: words.Probes = None,
    backend: words.Backend = None,
    batch: words.Batch = None,
    workers: words.Workers = None,
    device: words.Device = None,
    engine: words.Engine = "local",
    address: words.Address = None,
    gpus: words.Gpus = None,
    shard: words.Shard = None,
    runs: words.Runs = None,
    data_dir: words.DataDir = None,
    download: words.Download = False,
    fresh: words.Fresh = False,
    allow_partial: words.AllowPartial = False,
    track: words.Track = None,
    precision: Annotated[
        float | None,
        typer.Option(help="AutoAttack on as few images as bound the worst case to so many points: 0.5."),
    ] = None,
    strict: words.Strict = False,
    form: words.Form = "terminal",
    columns: words.Columns = None,
    as_json: words.Json = False,
    quiet: words.Quiet = False,
    catalog: words.CatalogDir = None,
) -> None:
    """Evaluate a model by a suite, at several eps for a curve, or all that a table lacks; the same again resumes."""
    from rbench import api, studies
    from rbench.catalog import Catalog
    from rbench.evaluating import Evaluation
    from rbench.report import FORMATS, render
    from rbench.report.lines import CHOICES
    from rbench.subject import of_checkpoint

    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if columns is not None and columns not in CHOICES:
        raise unknown("choice of --columns", columns, CHOICES)
    options: dict[str, Any] = {
        "limit": limit, "seed": seed, "batch": batch, "workers": workers, "device": device, "runs": runs,
        "data_dir": data_dir, "download": download, "fresh": fresh, "progress": not quiet,
        "engine": engine, "address": address, "gpus": gpus,
        "catalog": Catalog.find(catalog or ()),
    }  # fmt: skip
    if table is not None:
        own = {"--weights": weights, "--probe": probe, "--backend": backend, "--allow-partial": allow_partial}
        own |= {"--precision": str(precision or ""), "--shard": shard, "--arch": arch, "--track": track}
        alone(table, {"--suite": suite, "--model": model, **own, "a curve of several --eps": "," in (eps or "")})
        fill(table, "json" if as_json else form, columns, {**options, "eps": eps}, strict=strict)
        _warn(limit)
        return
    suite, model = pair("eval", suite, model)
    model, weights = of_checkpoint(model, arch, weights)
    if columns is not None:
        raise UsageError(f"--columns goes with --table; for a suite: rbench table {suite} --columns {columns}.")
    options |= {"weights": weights, "probes": probe or (), "backend": backend}
    if shard is not None:
        barred: dict[str, Any] = {"--precision": precision, "--allow-partial": allow_partial, "--strict": strict}
        barred |= {"--json": as_json, "--track": track}
        _shard(model, suite, shard, eps, options, barred)
        return
    options |= {"allow_partial": allow_partial, "track": tuple(track or ())}
    result: Evaluation | studies.CurveStudy
    if precision is not None:
        _survey(model, suite, precision, eps, form, options)
        _warn(limit)
        return
    if eps is not None and "," in eps:
        result = studies.security_curve(model, suite, eps, **options)
    else:
        result = api.evaluate(model, suite, eps=eps, **options)
    typer.echo(f"complete: {done(result.fresh_blocks)}; {result.where}", err=True)
    for line in result.left_out:
        typer.echo(f"left out: {line}", err=True)
    typer.echo(render(result.sheet, "json" if as_json else form), nl=False)
    _warn(limit)
    if strict and result.verdict != "reliable":
        raise typer.Exit(UNDECIDED)


def _survey(model: str, suite: str, precision: float, eps: str | None, form: str, options: Mapping[str, Any]) -> None:
    """An evaluation by the cheap probes, and what AutoAttack on some images says of all."""
    from rbench.report import render
    from rbench.surveying import survey

    asked = {"--probe": options["probes"], "--backend": options["backend"], "--allow-partial": options["allow_partial"]}
    asked |= {"--track": options["track"]}
    for word, value in {**asked, "a curve of several --eps": "," in (eps or "")}.items():
        if value:
            raise UsageError(f"--precision goes without {word}.")
    left = ("probes", "backend", "allow_partial", "track")
    shared = {key: value for key, value in options.items() if key not in left}
    found = survey(model, suite, precision, eps=eps, **shared)
    typer.echo(render(found.evaluation.sheet, form), nl=False)
    typer.echo(f"\n{found.text}")


def _shard(
    model: str, suite: str, shard: str, eps: str | None, options: Mapping[str, Any], barred: Mapping[str, Any]
) -> None:
    """A share of an evaluation; it has no scores, so it prints its folder."""
    from rbench.sharding import evaluate_shard

    for word, value in {**barred, "a curve of several --eps": "," in (eps or "")}.items():
        if value:
            raise UsageError(f"--shard goes without {word}.")
    made = evaluate_shard(model, suite, shard, eps=eps, **options)
    state = done(made.fresh_blocks)
    typer.echo(f"complete: shard {made.share}, {state}; when all are: rbench merge {made.root}/*", err=True)
    typer.echo(made.folder)


def _warn(limit: int | None) -> None:
    """Say loudly that numbers are of a subset."""
    if limit is not None:
        typer.echo(f"WARNING: numbers of a subset (--limit {limit}); not comparable with published ones.", err=True)


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
    from rbench.report.crosscheck import crosscheck_page

    found = Catalog.find(catalog or ())
    if backend is None:
        for line in api.check(model, suite, catalog=found):
            typer.echo(f"ok  {line}")
        return
    if model is None or suite is None:
        raise UsageError("a cross-check needs a model and a suite: rbench check --model NAME --suite NAME --backend B.")
    if backend == "torchattacks":
        if probe:
            raise UsageError("--probe goes with the attack to ask it by: --backend torchattacks:NAME.")
        page = studies.crosscheck_all(
            model, suite, limit=limit, seed=seed, eps=eps, workers=workers, device=device, runs=runs,
            data_dir=data_dir, progress=not quiet, catalog=found,
        )  # fmt: skip
        typer.echo(crosscheck_page(page), nl=False)
        return
    rows = studies.crosscheck(
        model, suite, backend, probes=probe or (), limit=limit, seed=seed, eps=eps, workers=workers, device=device,
        runs=runs, data_dir=data_dir, progress=not quiet, catalog=found,
    )  # fmt: skip
    typer.echo(agreements(rows, backend), nl=False)
