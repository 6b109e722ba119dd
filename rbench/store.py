"""Jobs and outcomes on disk, whole or not at all.

A run folder holds `manifest.json` and, for each probe, blocks of samples as Parquet files and a marker `complete.json`.
Every file appears by an atomic rename after fsync and is never changed afterwards; the marker is written last. A crash
at any point loses at most the block in hand, and the same bytes stand on disk at the end. `verdict.json` alone is drawn
anew from the evidence whenever an evaluation ends.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rbench.errors import InterruptedRunError, StoreError
from rbench.files import TEMPORARY, canonical_json, sha256, write_atomically
from rbench.types import Finding, Job, Outcomes, Verdict

FORMAT = 1
MANIFEST, SETTINGS, MARKER, LOCK = "manifest.json", "settings.json", "complete.json", "lock"
MEASUREMENTS, VERDICT = "measurements.json", "verdict.json"


@dataclass(frozen=True)
class Run:
    """One run folder; many may read it, one at a time may write it (see `writing`)."""

    folder: Path

    def manifest(self) -> dict[str, Any] | None:
        """What the run pins (suite, model, weights, data, code), or None before it has begun."""
        path = self.folder / MANIFEST
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({error}); move {self.folder} away and run again.") from error
        form = value.get("format") if isinstance(value, dict) else None
        if form != FORMAT:
            raise StoreError(
                f"{self.folder} was written in format {form!r}, this rbench reads {FORMAT}; "
                f"move the folder away or use the rbench that wrote it."
            )
        return dict(value)

    @contextmanager
    def writing(self, manifest: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for writing, pinned to a manifest; raises `StoreError` if it is pinned to another one."""
        with ExitStack() as stack:
            with _explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder))
            self._pin(json.loads(canonical_json({"format": FORMAT, **manifest})))
            yield

    def _pin(self, manifest: dict[str, Any]) -> None:
        for stale in self.folder.rglob(TEMPORARY):
            stale.unlink(missing_ok=True)
        held = self.manifest()
        if held is None:
            _write(self.folder / MANIFEST, _text(manifest))
            return
        if held != manifest:
            key, old, new = _difference(held, manifest)
            raise StoreError(
                f"{self.folder} belongs to another run: its {key} is {old!r}, not {new!r}. Nothing was changed; "
                "add --fresh to move it aside and start anew."
            )

    def agrees(self, manifest: Mapping[str, Any]) -> bool:
        """Whether the folder has begun to hold the evaluation of a manifest."""
        return self.manifest() == json.loads(canonical_json({"format": FORMAT, **manifest}))

    def settings(self) -> dict[str, Any]:
        """How the run is computed (batch size, device, versions): kept from its first day, not part of what it is."""
        path = self.folder / SETTINGS
        return _table(path) if path.is_file() else {}

    def remember(self, settings: Mapping[str, Any]) -> None:
        """Keep the settings of a run that has none yet; raises `StoreError` if they differ from those that it has."""
        held = self.settings()
        for key in sorted(held.keys() & settings.keys()):
            if held[key] != settings[key]:
                raise StoreError(
                    f"{self.folder} was begun with {key} {held[key]!r}, not {settings[key]!r}, which moves results. "
                    "Go on as it was begun, or add --fresh to move it aside and start anew."
                )
        if not held:
            _write(self.folder / SETTINGS, _text(settings))

    def measurements(self) -> dict[str, float] | None:
        """What was measured of the model besides its outcomes, or None if nothing was yet."""
        path = self.folder / MEASUREMENTS
        if not path.is_file():
            return None
        try:
            return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"{path} is damaged ({error}); remove it and run the same command again.") from error

    def measured(self, values: Mapping[str, float]) -> None:
        """Keep what was measured of the model."""
        _write(self.folder / MEASUREMENTS, _text(values))

    def judged(self, verdict: Verdict, findings: Iterable[Finding], *, diagnosed: bool) -> None:
        """Keep the verdict on the run with the findings that it rests on, where it is not what is there already."""
        value = {"verdict": verdict, "diagnosed": diagnosed, "findings": [asdict(finding) for finding in findings]}
        path = self.folder / VERDICT
        if not path.is_file() or path.read_bytes() != _text(value):
            _write(path, _text(value))

    def verdict(self) -> dict[str, Any] | None:
        """What `judged` kept (verdict, diagnosed, findings), or None if no evaluation of this folder has ended."""
        path = self.folder / VERDICT
        return _table(path) if path.is_file() else None

    def done(self, job: Job) -> dict[int, str]:
        """First sample -> file name of every committed block of a job."""
        folder = self.folder / job.probe.name
        return {int(path.stem): path.name for path in sorted(folder.glob("*.parquet"))}

    def commit(self, job: Job, outcomes: Outcomes) -> None:
        """Store one block of consecutive samples."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: value for name, value in vars(outcomes).items() if value.ndim == 1 and len(value)}
        if outcomes.top.size:  # sequences have it
            columns["top"] = pa.FixedSizeListArray.from_arrays(pa.array(outcomes.top.ravel()), outcomes.top.shape[1])
        table = pa.table(columns).replace_schema_metadata({"job": job.key})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        _write(self.folder / job.probe.name / f"{int(outcomes.sample[0]):06d}.parquet", sink.getvalue())

    def complete(self, job: Job, n: int, findings: tuple[Finding, ...]) -> None:
        """Write the marker that says that all n samples of a job are there."""
        files = {name: sha256(self.folder / job.probe.name / name) for name in self.done(job).values()}
        marker = {"job": job.key, "n": n, "blocks": files, "findings": [asdict(finding) for finding in findings]}
        _write(self.folder / job.probe.name / MARKER, _text(marker))

    def findings(self, probe: str) -> tuple[Finding, ...] | None:
        """What was found while a probe ran, or None as long as it is not complete."""
        path = self.folder / probe / MARKER
        if not path.is_file():
            return None
        return tuple(Finding(**finding) for finding in _table(path)["findings"])

    def outcomes(self, probe: str) -> Outcomes | None:
        """All outcomes of a probe in the order of samples, or None as long as it is not complete.

        Raises `StoreError` if a block does not have the sha256 that the marker gives.
        """
        path = self.folder / probe / MARKER
        if not path.is_file():
            return None
        marker = _table(path)
        return read_blocks([self.folder / probe / name for name in sorted(marker["blocks"])], marker)


def _table(path: Path) -> dict[str, Any]:
    """A JSON file of a run that holds an object."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); remove it and run the same command again.") from error


def _difference(held: Any, wanted: Any) -> tuple[str, Any, Any]:
    """The first key by which two different values differ, at whatever depth, with what each has there."""
    if not (isinstance(held, dict) and isinstance(wanted, dict)):
        return "", held, wanted
    key = min(key for key in held.keys() | wanted.keys() if held.get(key) != wanted.get(key))
    deeper, old, new = _difference(held.get(key), wanted.get(key))
    return f"{key}.{deeper}" if deeper else str(key), old, new


def read_blocks(paths: list[Path], marker: Mapping[str, Any]) -> Outcomes:
    """The outcomes in some blocks of one job, checked against the job's marker."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in paths:
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != marker["blocks"][path.name]:
            raise StoreError(f"{path} is missing or damaged; remove {path.parent} and run the same command again.")
        try:
            table = pq.ParquetFile(io.BytesIO(content)).read()  # `read_table` would import pandas
        except pa.ArrowInvalid as error:
            raise StoreError(
                f"{path} was damaged before it was complete; remove {path.parent} and run again."
            ) from error
        if (table.schema.metadata or {}).get(b"job", b"").decode() != marker["job"]:
            raise StoreError(f"{path} belongs to another job; remove {path.parent} and run the same command again.")
        tables.append(table)
    names = [field.name for field in fields(Outcomes) if field.name in tables[0].column_names]
    return Outcomes(**{name: np.concatenate([_numbers(table[name]) for table in tables]) for name in names})


def _numbers(column: Any) -> Any:
    """A column without gaps as an array, read from its buffers: `to_numpy` would import pandas.

    A column of lists of one length becomes an array of rows.
    """
    if hasattr(column.type, "list_size"):
        import pyarrow as pa

        return _numbers(pa.chunked_array([column.combine_chunks().flatten()])).reshape(-1, column.type.list_size)
    kinds = [chunk.type.to_pandas_dtype() for chunk in column.chunks]
    parts = [
        np.frombuffer(c.buffers()[1], kind)[c.offset :][: len(c)] for c, kind in zip(column.chunks, kinds, strict=True)
    ]
    return np.concatenate(parts)


def set_aside(folder: Path) -> Path | None:
    """Rename a run folder to the first free `<folder>.old-N` and say where it went; nothing is ever deleted."""
    if not folder.exists():
        return None
    number = 1
    while (target := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    with _explained(folder), locked(folder):
        folder.rename(target)
    return target


@contextmanager
def locked(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold a folder, by a file of that name, against every other process; `InterruptedRunError` if one holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InterruptedRunError(
            f"another process is writing {folder}; let it finish, then run the same command."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a folder into a sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. What is committed stays; mend that, or name another "
            "folder with --runs, and run the same command again."
        ) from error


def _text(value: Mapping[str, Any]) -> bytes:
    """A value as the JSON of a file; raises `ValueError` for numbers that are not finite."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Create a file of the run, whole."""
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
