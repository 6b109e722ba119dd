"""A share of an evaluation in a run folder of its own, and all shares made one run: for clusters without Ray."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rbench import planner
from rbench.errors import MissingError, StoreError, UsageError
from rbench.files import sha256, write_atomically
from rbench.store import MARKER, Run, read_blocks
from rbench.types import Finding, Job

SHARD = "shard.json"  # of a run folder and, as the marker that a share is complete, of each probe in it


@dataclass(frozen=True)
class Share:
    """One of `count` shares, numbered from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """A share as it is written, `2/4`; raises `UsageError` for anything else."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(f"shard = {text!r} is no share; write 1/4, 2/4, 3/4 and 4/4 for four shares.")
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def root(self, runs: Path) -> Path:
        """The folder of this share's runs, under the folder of all runs."""
        return runs / "shards" / f"{self.index}of{self.count}"


@dataclass(frozen=True)
class ShardRun(Run):
    """The run folder of a share: what belongs to other shares counts as done, and no probe is ever complete.

    `probes` are those of the suite in order, and `n` samples are asked in batches of `batch`: blocks that share a batch
    stay together. `command` is that of the whole evaluation.
    """

    share: Share
    probes: tuple[str, ...]
    n: int
    batch: int
    command: str

    def done(self, job: Job) -> dict[int, str]:
        """First sample -> file name of every block that is committed here, or that is another share's."""
        return {block.start: "" for block in self.others(job)} | super().done(job)

    def others(self, job: Job) -> list[range]:
        """The blocks of a job that other shares run; probes start at different shares, since many have few blocks."""
        together, first = max(1, self.batch // job.probe.block), self.probes.index(job.probe.name)
        every = enumerate(planner.blocks(self.n, job.probe))
        return [block for i, block in every if (i // together + first) % self.share.count != self.share.index - 1]

    def own(self) -> dict[str, Any]:
        """What the folder says of itself."""
        return {"shard": self.share.index, "of": self.share.count, "probes": self.probes, "command": self.command}

    def measurements(self) -> dict[str, float] | None:
        """What was measured of the model: the first share does it for all."""
        return super().measurements() if self.share.index == 1 else {}

    def complete(self, job: Job, n: int, findings: tuple[Finding, ...]) -> None:
        """Write the marker that says that this share of a job is there."""
        files = {name: sha256(self.folder / job.probe.name / name) for name in Run.done(self, job).values()}
        marker = {"job": job.key, "n": n, "blocks": files, "findings": [asdict(finding) for finding in findings]}
        _write(self.folder / job.probe.name / SHARD, marker)

    def findings(self, probe: str) -> tuple[Finding, ...] | None:
        """What was found while this share of a probe ran, or None as long as it is not complete."""
        path = self.folder / probe / SHARD
        return tuple(Finding(**each) for each in _read(path)["findings"]) if path.is_file() else None

    def _pin(self, manifest: dict[str, Any]) -> None:
        super()._pin(manifest)
        if not (self.folder / SHARD).is_file():
            _write(self.folder / SHARD, self.own())


@dataclass(frozen=True)
class Merged:
    """A run that was put together: its folder, the number of shares, and the command that shows its scores."""

    folder: Path
    shares: int
    command: str


def merge(folders: Iterable[str | Path], runs: Path) -> list[Merged]:
    """Put shares together, under `runs`: the same bytes as one run of the same batch size leaves.

    Folders are those of shares or above them. Raises `StoreError` for shares that overlap or are of different runs, and
    `MissingError` for those that are not there, not complete or damaged; no run is begun then.
    """
    found = [place for folder in folders for place in _places(Path(folder))]
    by_run = groupby(sorted(found, key=_name), key=_name)
    groups = [(runs.joinpath(*name), _checked(list(places))) for name, places in by_run]
    return [_merged(target, places) for target, places in groups]


def _places(folder: Path) -> list[Path]:
    """The run folders of shares in a folder, or that it is."""
    found = sorted(path.parent for path in folder.rglob(SHARD) if (path.parent / "manifest.json").is_file())
    if not found:
        raise UsageError(f"{folder} holds no shard; make one with `rbench eval ... --shard 1/4`.")
    return found


def _name(place: Path) -> tuple[str, ...]:
    """Suite, model and variant of a run."""
    return place.resolve().parts[-3:]


def _checked(places: Sequence[Path]) -> list[Path]:
    """The folders of all shares of one run, in order."""
    first = places[0]
    shares: dict[Share, Path] = {}
    for place in places:
        share = Share(*(int(_read(place / SHARD)[key]) for key in ("shard", "of")))
        if share in shares:
            raise StoreError(f"{shares[share]} and {place} overlap: both are shard {share}. Name one of them.")
        shares[share] = place
        _same(first, place)
    count, command = next(iter(shares)).count, _read(first / SHARD)["command"]
    lacking = [share for share in (Share(i + 1, count) for i in range(count)) if share not in shares]
    if lacking:
        raise MissingError(f"shard {lacking[0]} is missing beside {first}. Run: {command} --shard {lacking[0]}")
    for share, place in shares.items():
        for probe in _read(place / SHARD)["probes"]:
            if not (place / probe / SHARD).is_file():
                raise MissingError(f"{place} is not complete, it lacks {probe}. Run: {command} --shard {share}")
    return [shares[share] for share in sorted(shares, key=lambda share: share.index)]


def _same(first: Path, other: Path) -> None:
    """Raise `StoreError` for shares of different runs, divisions, or ways to compute."""
    for name, keys in (("manifest.json", ()), ("settings.json", ()), (SHARD, ("of", "probes"))):
        mine, its = _read(first / name), _read(other / name)
        for key in keys or sorted(mine.keys() | its.keys()):
            if mine.get(key) != its.get(key):
                raise StoreError(
                    f"{other} is no shard of the same run as {first}: its {key} is {its.get(key)!r}, not "
                    f"{mine.get(key)!r}. Nothing was merged."
                )


def _merged(target: Path, places: Sequence[Path]) -> Merged:
    first, run = places[0], Run(target)
    own = _read(first / SHARD)
    manifest = {key: value for key, value in _read(first / "manifest.json").items() if key != "format"}
    markers = {probe: _united([place / probe for place in places]) for probe in own["probes"]}
    with run.writing(manifest):
        run.remember(_read(first / "settings.json"))
        measured = Run(first).measurements()
        if measured is not None:
            run.measured(measured)
        for probe, marker in markers.items():
            for place in places:
                for name in _read(place / probe / SHARD)["blocks"]:
                    _copy(place / probe / name, target / probe / name)
            _write(target / probe / MARKER, marker)
    return Merged(target, len(places), own["command"])


def _united(folders: Sequence[Path]) -> dict[str, Any]:
    """The marker of a probe whose shares lie in some folders; raises `StoreError` if they are not just all of it."""
    parts = [_read(folder / SHARD) for folder in folders]
    samples = 0
    for folder, part in zip(folders, parts, strict=True):
        if part["job"] != parts[0]["job"]:
            raise StoreError(f"{folder} is another job than {folders[0]}. Nothing was merged.")
        if part["blocks"]:
            samples += len(read_blocks([folder / name for name in sorted(part["blocks"])], part))
    blocks = [name for part in parts for name in part["blocks"]]
    if samples != parts[0]["n"] or len(set(blocks)) != len(blocks):
        raise StoreError(
            f"the shards of {folders[0].name} hold {samples} samples in place of {parts[0]['n']}, {folders[0]} among "
            "them. Nothing was merged; move them aside and run them again."
        )
    digests: dict[str, str] = {name: digest for part in parts for name, digest in part["blocks"].items()}
    return {**parts[0], "blocks": digests}


def _copy(source: Path, target: Path) -> None:
    """Bring a block to its place; raises `StoreError` if another one is there."""
    content = source.read_bytes()
    if target.is_file() and target.read_bytes() != content:
        raise StoreError(f"{target} is there already, and is not {source}; move {target.parent.parent} aside first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, content)


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of a share; raises `MissingError` if it is not there or damaged."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise MissingError(f"{path} cannot be read ({error}); run the shard's command again.") from error


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Create a file as the store does, byte for byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
