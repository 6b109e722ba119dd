"""Analyses of trained models: what figures of papers show, as data and pictures."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import analysis
from rbench.api import runs_root
from rbench.catalog import Catalog, resolve
from rbench.errors import MissingError, UsageError, unknown
from rbench.evaluating import interruptible
from rbench.files import digest_of, write_atomically
from rbench.planner import Variant
from rbench.progress import progress_bar
from rbench.sources import data_source, dataset_of, loaded
from rbench.studies.asking import Asking
from rbench.studies.seeds import AXIS, VALUES, over_seeds
from rbench.studies.series import Point, axis_of, expanded, told
from rbench.subject import device_of, subject_of
from rbench.types import Call, Suite

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from rbench.report.plot import Drawing


@dataclass(frozen=True)
class Analysis:
    """A finished analysis: its data, a row for each model, network and condition, and the folder of its files.

    `seeds` sums up trainings that differ in their seed, if such were asked about: see `rbench.studies.seeds`.
    """

    drawing: "Drawing"
    protocol: str
    folder: Path
    seeds: "pd.DataFrame | None" = None

    @property
    def frame(self) -> "pd.DataFrame":
        """The data."""
        return self.drawing.frame

    @property
    def doubt(self) -> str:
        """How many of the numbers must not be taken at their face value, and why the worst must not; else empty."""
        frame = self.frame
        doubted = frame[frame.doubt != ""] if "doubt" in frame else frame[:0]
        if not len(doubted):
            return ""
        worst = doubted.doubt.iloc[int(doubted.null.argmax())]
        return f"{len(doubted)} of {len(frame)} numbers are in doubt, such as: {worst}"


def analyse(
    name: str,
    models: Sequence[str],
    suite: str,
    *,
    limit: int = 500,
    corruption: str = "fog",
    severity: int = 3,
    device: str | None = None,
    runs: str | Path | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
    options: Mapping[str, Any] | None = None,
) -> Analysis:
    """Ask the networks that an analysis makes of each model about clean, corrupted and adversarial images of a suite.

    A model may be "name@file": the network of that name with the weights in a file; or "name@pattern", a file's path
    with a star, for all that match: what the star stands for is where they stand on the figure's axis, as the epochs
    do in "name@.../epochs/*.safetensors". Trainings by seed, "name@.../seed*/weights.safetensors", are also summed up.
    `options` are the analysis' own, such as `rho`, `subnets` and `seed`. Writes
    the data as CSV and the figure as PNG and PDF. Raises `UsageError` for an unknown analysis, and as it does itself.
    """
    if name not in analysis.names():
        raise unknown("analysis", name, analysis.names())
    if not models:
        raise UsageError("name at least one model to analyse.")
    catalog = catalog or Catalog.find()
    spec = catalog.suite(suite)
    call = Call(f"rbench.analysis.{name}:{name}", options or {})
    series = [each for model in dict.fromkeys(models) for each in expanded(model)]
    titles = told([each.file for each in series])
    along = axis_of(name, models)
    ask = partial(_rows, catalog, spec, call, limit=limit, corruption=corruption, severity=severity, device=device)
    from rbench.analysis.shown import STEPS, blocks

    with data_source(data_dir, download), interruptible():
        asked = zip(series, titles, strict=True)
        labelled = ((_labels(e, along), e.file, title) for e, title in asked)
        frame = _frame([{**own, **row} for own, file, title in labelled for row in ask(file, title, progress=progress)])
        shown = min(limit, len(dataset_of(spec).labels))
        count = shown if _looks_itself(call) else sum(map(len, blocks(shown)))
    options_said = ", ".join(filter(None, itertools.starmap(_said, {**_defaults(call.use), **call.args}.items())))
    attacked = f"PGD-{STEPS}, {spec.threat.norm}, eps = {spec.threat.eps}" if spec.threat is not None else ""
    altered = ("", "") if _looks_itself(call) else (f"{corruption}, severity {severity}", attacked)
    protocol = "; ".join(filter(None, (f"{spec.name}, {count} images", *altered, options_said)))
    pinned = digest_of([sorted(models), protocol])
    folder = Path(out) if out is not None else runs_root(runs) / "analyses" / f"{name}-{pinned[:8]}"
    drawn = _drawn(name, frame, protocol, along)
    files = dict(drawn.files(name))
    seeds = over_seeds(frame, VALUES[name]) if along == AXIS and name in VALUES else None
    if seeds is not None:
        files[f"{name}-seeds.csv"] = seeds.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        write_atomically(folder / file, content)
    return Analysis(drawn, protocol, folder, seeds)


def _labels(point: Point, along: str | None) -> dict[str, Any]:
    """What tells a model's rows from those of others and, of trainings by their seed, whether it converged."""
    if along != AXIS:
        return dict(point.labels)
    from rbench.training.course import reached

    return {**point.labels, "reached": reached(Path(point.file.partition("@")[2]).parent)}


def drawing(
    catalog: Catalog,
    root: Path,
    means: Asking,
    *,
    name: str,
    suite: str,
    models: tuple[str, ...],
    limit: int = 500,
    corruption: str = "fog",
    severity: int = 3,
    options: Mapping[str, Any] | None = None,
    fill: str = "",
) -> "Drawing":
    """The figure of an analysis, which asks its models anew; see `analyse`. Files of weights lie in the runs.

    Raises `MissingError` for those that are not there, with the command that makes them, `fill`.
    """
    placed = [
        f"{model}@{root / file}" if file else model for model, _, file in (each.partition("@") for each in models)
    ]
    try:
        return analyse(
            name, placed, suite, limit=limit, corruption=corruption, severity=severity, options=options, runs=root,
            catalog=catalog, **vars(means),
        ).drawing  # fmt: skip
    except MissingError as error:
        if not fill:
            raise
        raise MissingError(f"{str(error).rstrip('.')}; make it: {fill}") from error


def _rows(
    catalog: Catalog,
    spec: Suite,
    call: Call,
    model: str,
    title: str,
    *,
    limit: int,
    corruption: str,
    severity: int,
    device: str | None,
    progress: bool,
) -> list[dict[str, Any]]:
    """What one model's networks make of the images, each network under each condition; or rows of its analysis."""
    import numpy as np
    import torch

    from rbench.analysis.asked import Asked
    from rbench.analysis.measured import measured
    from rbench.analysis.shown import show
    from rbench.bench import load_images
    from rbench.catalog import bind

    where, dataset = device_of(device, None), dataset_of(spec)
    network = _loaded(catalog, spec, model).to(where)
    shower = partial(show, dataset=dataset, threat=spec.threat, limit=limit, corruption=corruption, severity=severity)
    offered = {
        "model": network,
        "asked": Asked(dataset, spec.threat, limit),
        "x": load_images(dataset, np.arange(1), torch.device(where))[0],
        "load": partial(_loaded, catalog, spec),
        "train": partial(loaded, replace(spec.data, args={**spec.data.args, "split": "train"})),
        "show": shower,
    }
    wanted = offered.keys() & signature(resolve(call.use)).parameters.keys()
    found = bind(call, given=wanted)(**{key: offered[key] for key in wanted})
    if _looks_itself(call):
        return list(found)
    variants, shown = found, shower(network)
    rows = []
    with progress_bar(show=progress) as bar:
        bar.begin(title, 0, len(variants) * len(shown))
        for row in measured(variants, shown):
            rows.append(dict(row))
            bar.advance(1)
    return rows


def _looks_itself(call: Call) -> bool:
    """Whether an analysis looks at images itself, in the place of naming networks that are shown some."""
    return "asked" in signature(resolve(call.use)).parameters


def _loaded(catalog: Catalog, spec: Suite, name: str) -> "nn.Module":
    """A model of the catalog or of code; "name@file" is the one of that name with the weights in a file."""
    model, _, file = name.partition("@")
    return subject_of(catalog, model, Variant(weights_file=file or None), spec).load()


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows)


def _defaults(use: str) -> dict[str, Any]:
    """The options of an analysis and what they are unless given."""
    parameters = signature(resolve(use)).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _said(option: str, value: object) -> str:
    """An option as a reader is told of it; nothing where it is off."""
    if value is None or value is False:
        return ""
    if value is True:
        return option
    if isinstance(value, tuple | list):
        value = " and ".join(map(str, value))
    return f"{option} = {value}"


def _drawn(name: str, frame: "pd.DataFrame", protocol: str, along: str | None) -> "Drawing":
    from rbench.report.plot import Drawing

    if along is None:
        return Drawing(resolve(f"rbench.report.analysis_plots:{name}")(frame, protocol), frame)
    return Drawing(resolve(f"rbench.report.analysis_plots:{name}_along")(frame, protocol, along), frame)
