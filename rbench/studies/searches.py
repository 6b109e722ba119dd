"""Searches of architectures: a supernet is trained; candidates inherit from it, are fine-tuned and attacked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.api import runs_root
from rbench.away.engines import Engine
from rbench.candidates import Candidate, Search, sampled
from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.evaluating import interruptible
from rbench.files import sha256, write_atomically
from rbench.findings import least
from rbench.sources import data_source
from rbench.store import Run, set_aside
from rbench.subject import device_of
from rbench.workers import Workers

if TYPE_CHECKING:
    import pandas as pd

    from rbench.training.candidate import Space


@dataclass(frozen=True)
class SearchStudy:
    """A finished search: a row for each candidate, the best one first of all; its report; the folder of its files."""

    frame: "pd.DataFrame"
    text: str
    folder: Path


def search(
    name: str,
    *,
    jobs: int = 1,
    sample: int | None = None,
    runs: str | Path | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    engine: str = "local",
    address: str | None = None,
    gpus: float | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    fresh: bool = False,
    catalog: Catalog | None = None,
) -> SearchStudy:
    """Search a space of the catalog, going on where an earlier call stopped, and write report, figures and data.

    `jobs` candidates are worked on at a time, each in a process of its own; `sample` takes only the first so many.
    The engine "ray" takes `jobs` workers of the cluster at `address`, whose files travel back to the run folder.
    No test image is looked at: held-out training images judge. Raises `StoreError` if the run folder belongs to a
    search of another space, supernet or recipe, and other `RbenchError`s with the remedy.
    """
    catalog, chosen = catalog or Catalog.find(), Engine(engine, address, gpus)
    spec, root = catalog.search(name), runs_root(runs)
    count = spec.sample if sample is None else sample
    if not 1 <= count <= spec.sample:
        raise UsageError(f"sample = {count} must be from 1 to {spec.sample}, the number that the search names.")
    with data_source(data_dir, download), interruptible():
        space = _space(catalog, spec, root, device, progress=progress)
        candidates = sampled(spec.seed, count, space.rows)
        if fresh:
            set_aside(space.folder)
        with Run(space.folder).writing(_pinned(spec, space)):
            count = chosen.workers(jobs, device_of(device, None)) if chosen.away else jobs
            found = _searched(space, spec, candidates, count, progress=progress)
    frame = _frame(candidates, found)
    folder = Path(out) if out is not None else root / "searches" / name
    return SearchStudy(frame, _written(spec, frame, space, folder), folder)


def unsearched(name: str, *, runs: str | Path | None = None, catalog: Catalog | None = None) -> str:
    """How many candidates a search has, and how many of them are not finished yet."""
    catalog = catalog or Catalog.find()
    spec = catalog.search(name)
    done = len(list(_folder(runs_root(runs), spec).glob("*/result.json")))
    tuned = spec.sample if spec.filter is None else max(1, round(spec.filter.keep * spec.sample))
    return (
        f"search {name}: {spec.sample} candidates of {spec.supernet}, {tuned} of them to be fine-tuned by "
        f"{spec.recipe}, {done} finished."
    )


def _folder(root: Path, spec: Search) -> Path:
    return root / "searches" / spec.name / "candidates"


def _space(catalog: Catalog, spec: Search, root: Path, device: str | None, *, progress: bool) -> "Space":
    """The space of a search; its supernet is trained first, if it is not yet."""
    from rbench.training.candidate import Space
    from rbench.training.run import Means, run_all, training

    asked = training(catalog, spec.supernet, root / "train")
    weights = asked.folder / "weights.safetensors"
    space = Space(catalog, asked.card, weights, catalog.recipe(spec.recipe), _folder(root, spec), device)
    run_all(catalog, [asked], means=Means(device), progress=progress, publishing=False)
    if not weights.is_file():
        raise MissingError(f"the supernet's training left no {weights}; run the same command again.")
    return space


def _pinned(spec: Search, space: "Space") -> dict[str, Any]:
    """What the folder of a search belongs to; how many candidates are drawn is not among it."""
    recipe = {key: value for key, value in asdict(space.recipe).items() if key not in ("name", "presets")}
    return {
        "space": {"use": space.card.arch.use, "args": dict(space.card.arch.args)},
        "supernet": sha256(space.weights),
        "recipe": recipe,
        "seed": spec.seed,
        "filter": None if spec.filter is None else asdict(spec.filter),
    }


def _searched(
    space: "Space", spec: Search, candidates: Sequence[Candidate], jobs: int, *, progress: bool
) -> dict[int, Mapping[str, Any]]:
    """What is known of each candidate, by number; those that a filter drops are not fine-tuned."""
    from rbench.training.candidate import begin, finish
    from rbench.training.progress import bar

    workers = Workers(jobs, partial(_bench, space), space, _unheard)
    with bar(f"search {spec.name}", len(candidates), 0, enabled=progress) as report, workers:
        if spec.filter is None:
            return _mapped(finish, space, candidates, workers, lambda: report(1, "fine-tuned and attacked"))
        begun = _mapped(begin, space, candidates, workers, lambda: report(0, "FSP distances before fine-tuning"))
        distances = np.array([begun[each.index]["fsp_before"] for each in candidates])
        kept = least(distances[:, list(spec.filter.cells)], spec.filter.keep)
        report(int((~kept).sum()), "others dropped by FSP distance")
        chosen = [each for each, keep in zip(candidates, kept, strict=True) if keep]
        return begun | _mapped(finish, space, chosen, workers, lambda: report(1, "fine-tuned and attacked"))


def _mapped(
    do: Callable[..., Any], space: "Space", candidates: Sequence[Candidate], workers: Workers, told: Callable[[], None]
) -> dict[int, Mapping[str, Any]]:
    """What `do` finds of each candidate."""
    found = {}
    for index, result in _done(do, space, candidates, workers):
        found[index] = result
        told()
    return found


def _done(
    do: Callable[..., Any], space: "Space", candidates: Sequence[Candidate], workers: Workers
) -> Iterator[tuple[int, Any]]:
    """The candidates as they are finished; files come from and go to workers that are away."""
    if not workers.away:
        yield from workers.map(_one, [(do, each) for each in candidates])
        return
    tasks = [(do, each, _files(space.place(each))) for each in candidates]
    for candidate, result, files in workers.map(_far, tasks):
        for name, content in files.items():
            path = space.place(candidate) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_bytes() != content:
                write_atomically(path, content)
        yield candidate.index, result


def _far(
    space: "Space", do: Callable[..., Any], candidate: Candidate, files: Mapping[str, bytes]
) -> tuple[Candidate, Any, dict[str, bytes]]:
    """A candidate on another machine, in a folder for the time of the task, whose files are sent along."""
    with TemporaryDirectory() as folder:
        here = replace(space, folder=Path(folder))
        for name, content in files.items():
            path = here.place(candidate) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        result = do(here, candidate)
        return candidate, result, _files(here.place(candidate))


def _files(place: Path) -> dict[str, bytes]:
    """The files of a folder by their names in it."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()
    }


def _bench(space: "Space", _tick: Callable[[int], None]) -> "Space":
    return space


def _unheard(_passes: int) -> None:
    """Passes are not counted here; the bar tells candidates."""


def _one(space: "Space", do: Callable[..., Any], candidate: Candidate) -> tuple[int, Any]:
    return candidate.index, do(space, candidate)


def _frame(candidates: Sequence[Candidate], found: Mapping[int, Mapping[str, Any]]) -> "pd.DataFrame":
    """A row for each candidate, the most robust first; what was not measured is empty."""
    import pandas as pd

    rows = []
    for each in candidates:
        known = found[each.index]
        row = {
            "candidate": each.index,
            "cells": " | ".join(each.cells),
            "density": each.density,
            "convolutions": each.convolutions,
            "direct": each.direct,
            "parameters": known["parameters"],
            **{key: known.get(key) for key in ("clean", "robust", "epoch")},
        }
        for when in ("before", "after"):
            row |= {f"fsp_{when}_{cell}": value for cell, value in enumerate(known.get(f"fsp_{when}", ()))}
        rows.append(row)
    frame = pd.DataFrame(rows)
    order = ["robust", "clean", "parameters", "candidate"]
    return frame.sort_values(order, ascending=[False, False, True, True], ignore_index=True)


def _written(spec: Search, frame: "pd.DataFrame", space: "Space", folder: Path) -> str:
    """The report's text; it is written with its figures and data."""
    from rbench.report.plot import FORMS, written
    from rbench.report.search_plots import drawings
    from rbench.report.searches import report
    from rbench.training.setting import held_out_of

    made = drawings(spec, frame)
    drawn = [f"{name}.{form}" for name in made for form in FORMS]
    text = report(spec, frame, space.card.arch.args, len(held_out_of(space.recipe)[1]), drawn)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in made.items():
        figure = draw()
        for form in FORMS:
            write_atomically(folder / f"{name}.{form}", written(figure, form))
    write_atomically(folder / "README.md", text.encode())
    data = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    write_atomically(folder / "candidates.csv", data.encode())
    return text
