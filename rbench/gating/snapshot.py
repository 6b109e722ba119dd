"""The baseline of a gate: one reviewable JSON, and a small file with the error and margin of every image.

A third file may keep the attacked images themselves (`rbench.gating.replay`); the JSON pins both by their digests.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rbench.errors import MissingError, StoreError, UsageError
from rbench.files import canonical_json, digest_of, sha256, write_atomically
from rbench.types import FloatArray, Outcomes, Score

FORMAT = 2
MOST = 60_000.0  # which half precision can hold
SAME = ("suite", "data", "seed", "samples", "views", "surrogates")  # of a baseline and what is compared with it
PINNED = (*SAME, "format", "model", "weights", "code", "rbench", "scores", "evidence", "images")


@dataclass(frozen=True)
class Snapshot:
    """What is pinned of a baseline, and by probe the error of each image, 0..n-1: a share in [0, 1] of its rows.

    `images` is the file of attacked images, if it has one.
    """

    path: Path
    pinned: Mapping[str, Any]
    errors: Mapping[str, FloatArray]
    images: Path | None = None

    @property
    def samples(self) -> int:
        """The number of images."""
        return int(self.pinned["samples"])


def save(
    path: Path,
    manifest: Mapping[str, Any],
    scores: Mapping[str, Score],
    evidence: Mapping[str, Outcomes],
    shown: str = "",
) -> None:
    """Write PATH.json and PATH.parquet; `manifest` is that of the run which the evidence is of.

    The file of attacked images, if there is one, is pinned as it is; they are those of the score `shown`.
    """
    rows = _rows(evidence, int(manifest["samples"]))
    pinned = {key: manifest[key] for key in (*SAME, "model", "weights", "rbench")}
    pinned |= {"format": FORMAT, "code": _code(manifest), "evidence": hashlib.sha256(rows).hexdigest()}
    pinned["images"] = {"of": shown, "digest": _digest(images_of(path)) if shown else ""}
    pinned["scores"] = {
        name: {"value": round(score.value, 6), "low": round(score.interval[0], 6), "high": round(score.interval[1], 6)}
        for name, score in scores.items()
    }
    text = json.dumps({**pinned, "digest": digest_of(pinned)}, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_rows_of(path), rows)
    write_atomically(json_of(path), (text + "\n").encode())


def json_of(path: Path) -> Path:
    """The JSON of the baseline called `path`."""
    return path.with_name(f"{path.name}.json")


def images_of(path: Path) -> Path:
    """The file of attacked images of the baseline called `path`, whether or not it has one."""
    return path.with_name(f"{path.name}.images.parquet")


def _rows_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.parquet")


def _digest(path: Path) -> str:
    return sha256(path) if path.is_file() else ""


def read(path: Path, remedy: str) -> Snapshot:
    """The baseline of PATH.json; raises `MissingError` if there is none, `StoreError` if it is not as it was saved."""
    file = json_of(path)
    if not file.is_file():
        raise MissingError(f"there is no baseline {file}; make it: {remedy}")
    try:
        pinned = dict(json.loads(file.read_text()))
        digest = pinned.pop("digest")
        whole, form = digest == digest_of(pinned), pinned["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} is damaged ({error}); make it anew: {remedy}") from error
    if not whole:
        raise StoreError(f"{file} is not as it was saved: it was edited. Restore it, or make it anew: {remedy}")
    if form != FORMAT or any(key not in pinned for key in PINNED):
        raise StoreError(f"{file} has format {form}, not {FORMAT}; make it anew: {remedy}")
    rows = _rows_of(path)
    content = rows.read_bytes() if rows.is_file() else b""
    if hashlib.sha256(content).hexdigest() != pinned["evidence"]:
        raise StoreError(f"{rows} is missing, or not the one that {file.name} was saved with; make both anew: {remedy}")
    images = images_of(path) if pinned["images"]["of"] else None
    if images is not None and _digest(images) != pinned["images"]["digest"]:
        raise StoreError(f"{images} is missing, or not the one of {file.name}; make all anew: {remedy}")
    return Snapshot(file, pinned, _errors(content), images)


def agree(snapshot: Snapshot, manifest: Mapping[str, Any], probes: Iterable[str], remedy: str) -> None:
    """Raise `UsageError` unless a baseline asked the same of the same images as an evaluation, and has its probes.

    The code of attacks and data is part of what is asked: by a weaker attack every model looks better.
    """
    pairs = {key: (snapshot.pinned[key], manifest[key]) for key in SAME}
    pairs["code"] = (snapshot.pinned["code"], _code(manifest))
    for key, (old, new) in pairs.items():
        if canonical_json(old) != canonical_json(new):
            raise UsageError(f"{snapshot.path} is no baseline for this gate: its {key} is {old}, not {new}; {remedy}")
    if lacking := sorted(set(probes) - snapshot.errors.keys()):
        raise UsageError(f"{snapshot.path} has nothing of probe {lacking[0]!r}, which the gate needs; {remedy}")


def _code(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The digests of code that a run asked by; that of the model itself may change, which is what a gate is for."""
    model = (manifest.get("arch") or {}).get("use")
    return {use: digest for use, digest in manifest["code"].items() if use != model}


def _rows(evidence: Mapping[str, Outcomes], n: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for probe, outcomes in evidence.items():
        counts = np.bincount(outcomes.sample, minlength=n)
        if not counts.all():
            raise UsageError(f"probe {probe!r} asks {int((counts > 0).sum())} of {n} images; a gate needs all of them.")
        wrong = np.bincount(outcomes.sample, weights=~outcomes.correct, minlength=n)
        margins = np.full(n, np.inf)
        np.minimum.at(margins, outcomes.sample, outcomes.margin)
        columns[f"error:{probe}"] = wrong / counts
        columns[f"margin:{probe}"] = margins.clip(-MOST, MOST).astype(np.float16)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _errors(content: bytes) -> dict[str, FloatArray]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(io.BytesIO(content)).read()
    names = [name for name in table.column_names if name.startswith("error:")]
    return {name.partition(":")[2]: np.array(table[name].to_pylist(), dtype=np.float64) for name in names}


def errors_of(parts: Sequence[FloatArray], how: str) -> FloatArray:
    """The error of each image by a score, of those by the score's probes: their mean, or whether any is above 0."""
    stacked = np.stack(parts)
    return stacked.mean(axis=0) if how == "mean" else (stacked.max(axis=0) > 0).astype(np.float64)
