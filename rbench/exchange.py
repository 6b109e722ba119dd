"""Leaderboards of others beside the runs that are here, and runs that are here as entries of theirs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench import leaderboard
from rbench.catalog import Catalog
from rbench.doubt.assess import assess
from rbench.errors import MissingError, UsageError
from rbench.files import write_atomically
from rbench.kept import Kept, kept
from rbench.leaderboard import OURS, Entry
from rbench.types import Suite

HUB = "rbench.hubs.robustbench:build"


@dataclass(frozen=True)
class Beside:
    """A model: what the leaderboard says of it, if it is on it, and what was measured here, if it was, in percent."""

    model: str
    entry: Entry | None = None
    run: Path | None = None
    clean: float | None = None
    robust: float | None = None
    n: int = 0

    @property
    def difference(self) -> float | None:
        """Ours less theirs, in points."""
        if self.entry is None or self.entry.robust is None or self.robust is None:
            return None
        return self.robust - self.entry.robust


def beside(catalog: Catalog, root: Path, folder: Path, name: str) -> tuple[list[Beside], str]:
    """Every entry of the leaderboard that asks what a suite asks, with our run of that very model; then our others.

    Also a line that says whose numbers these are. Only complete runs that a table would count are ours.
    """
    suite = catalog.suite(name)
    dataset, threat = leaderboard.place_of(suite)
    entries = leaderboard.read(folder, dataset, threat)
    found = list(_measured(catalog, root, suite, threat))
    ours = {theirs: row for theirs, row in found if theirs}
    rows = [_joined(entry, ours.get(entry.model)) for entry in entries]
    known = {entry.model for entry in entries}
    other = sum(not entry.same_eps(suite) for entry in entries)
    told = f"RobustBench, {dataset}/{threat}: {len(entries)} files of {entries[0].file.parent}, as published"
    told += f"; {other} with another eps than the suite" if other else ""
    told += "; on its own 5,000 images" if dataset == "imagenet" else ""
    return rows + [row for theirs, row in found if theirs not in known], f"{told}. Ours: {suite.name}, {root}."


def _joined(entry: Entry, ours: Beside | None) -> Beside:
    if ours is None:
        return Beside(entry.model, entry)
    return Beside(entry.model, entry, ours.run, ours.clean, ours.robust, ours.n)


def _measured(catalog: Catalog, root: Path, suite: Suite, threat: str) -> Iterator[tuple[str, Beside]]:
    """Our runs, each with the name of the entry of that very model ("" for models of our own)."""
    lower = {score.name for score in suite.scores if not score.higher_is_better}
    for each in kept(root, suite.name):
        if each.stale(catalog) or each.variant.eps or each.variant.backend:
            continue
        scores = assess(each.asked(catalog)[0], each.run).scores
        shown = {
            key: 100 * (1 - found.value if score in lower else found.value)
            for key, score in (("clean", "clean"), ("robust", OURS[threat]))
            if (found := scores.get(score)) is not None
        }
        if "robust" in shown:
            yield _of_theirs(each, suite, threat), Beside(each.model, None, each.run.folder, n=_count(each), **shown)


def _count(each: Kept) -> int:
    """How many images a run is of."""
    return int(each.manifest["samples"])


def _of_theirs(each: Kept, suite: Suite, threat: str) -> str:
    arch = each.manifest.get("arch") or {}
    args: Mapping[str, Any] = arch.get("args", {})
    same = arch.get("use") == HUB and (args["dataset"], args["threat"]) == (suite.dataset, threat)
    return str(args["name"]) if same else ""


def submit(
    catalog: Catalog, root: Path, suite: str, model: str, described: Mapping[str, Any], out: Path
) -> tuple[Path, list[str]]:
    """Write a run in RobustBench's format to OUT/DATASET/THREAT/MODEL.json; returns it and what is left to fill in.

    Raises `MissingError` if there is no run of the whole suite, `UsageError` for a key that the format has not.
    """
    wanted = [each for each in kept(root, suite, model) if each.run.folder.name == "seed0"]
    if not wanted:
        raise MissingError(f"no whole run of {model!r} in {root}; make it: rbench eval --suite {suite} --model {model}")
    if stale := wanted[0].stale(catalog):
        raise UsageError(f"{wanted[0].run.folder} is out of date: {stale}")
    spec, _ = wanted[0].asked(catalog)
    found = assess(spec, wanted[0].run)
    told = leaderboard.submission(spec, found.scores, found.shown, described)
    dataset, threat = leaderboard.place_of(spec)
    path = out / dataset / threat / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return path, [key for key in leaderboard.REQUIRED if told[key] is None]
