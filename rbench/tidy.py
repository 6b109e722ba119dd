"""Everything that was run as tidy tables: a row a run, a score or a sample; plain columns only."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rbench.catalog import Catalog
from rbench.doubt.assess import Assessment, assess
from rbench.errors import MissingError, RbenchError, StoreError, unknown
from rbench.files import canonical_json
from rbench.kept import Kept, kept
from rbench.planner import Variant
from rbench.reference import baseline_of
from rbench.sheet import claiming
from rbench.types import Finding, Outcomes, Suite, Verdict, verdict_of

if TYPE_CHECKING:
    import pandas as pd

KEYS = {"suite": "string", "model": "string", "variant": "string"}  # of a run; they join the tables
RUNS = KEYS | {
    "version": "int64", "dataset": "string", "norm": "string", "eps": "string", "radius": "double",
    "seed": "int64", "n": "int64",
    "total": "int64", "complete": "bool", "verdict": "string", "findings": "string", "current": "bool",
    "stale": "string", "weights": "string", "data": "string", "suite_digest": "string", "rbench": "string",
    "torch": "string", "device": "string", "batch": "int64", "packages": "string", "arch": "string", "code": "string",
    "views": "string", "surrogates": "string",
}  # fmt: skip
SCORES = KEYS | {
    "score": "string", "title": "string", "higher_is_better": "bool", "value": "double", "low": "double",
    "high": "double", "n": "int64", "findings": "string", "verdict": "string", "undefined": "string", "current": "bool",
}  # fmt: skip
SAMPLES = KEYS | {
    "probe": "string", "sample": "int64", "group": "int64", "frame": "int64", "label": "int64", "pred": "int64",
    "margin": "double", "distance": "double", "forwards": "int64", "backwards": "int64", "zipf": "double",
    **{f"top{place}": "int64" for place in range(1, 6)},
}  # fmt: skip
JSON = ("arch", "code", "views", "surrogates")  # of a manifest: nested, so kept as text


@dataclass(frozen=True)
class Frames:
    """The tables of all runs under a folder whose suite and model match the patterns; read when they are asked for.

    `suite`, `model` and `variant` join them. Values are shares in [0, 1]. `probe` is a pattern for the samples alone.
    """

    root: Path
    catalog: Catalog
    suite: str = "*"
    model: str = "*"
    probe: str = "*"

    @cached_property
    def kept(self) -> list[Kept]:
        """The runs themselves; raises `MissingError` where there are none, `UsageError` where none matches."""
        every = kept(self.root, self.suite, self.model)
        if every:
            return every
        known = kept(self.root)
        if not known:
            raise MissingError(
                f"no run in {self.root}; name the folder of runs with --runs, or make one, say, by "
                "rbench eval --suite digits-linf --model ews-digits"
            )
        if not any(fnmatchcase(each.suite, self.suite) for each in known):
            raise unknown("run of suite", self.suite, {each.suite for each in known})
        raise unknown("run of model", self.model, {each.model for each in known if fnmatchcase(each.suite, self.suite)})

    @property
    def runs(self) -> "pd.DataFrame":
        """A row a run: names, digests, versions, verdict and findings as its evaluation left them; `radius` is eps.

        `current` says whether a table would count it, `stale` why not; `complete` whether its evaluation has ended.
        """
        return self._runs().to_pandas()

    @property
    def scores(self) -> "pd.DataFrame":
        """A row a score of a run: value, 95% interval, n, codes of findings; by the code that makes the tables.

        A run by a suite that the shelf has no longer has no scores. `undefined` says why there can be no value.
        """
        return self._scores().to_pandas()

    @property
    def samples(self) -> "pd.DataFrame":
        """A row a sample of a probe that is complete; `top1` to `top5` and `zipf` are of sequences, NaN elsewhere."""
        import pyarrow as pa

        return pa.concat_tables([_schema(SAMPLES).empty_table(), *self._parts()]).to_pandas()

    def batches(self) -> "Iterator[pd.DataFrame]":
        """The samples of one run and probe at a time, where all would not fit into memory."""
        return (part.to_pandas() for part in self._parts())

    def write(self, folder: Path) -> list[Path]:
        """Write runs.parquet, scores.parquet and samples.parquet; memory holds the samples of one probe at a time."""
        parts = (
            ("runs", RUNS, [self._runs()]),
            ("scores", SCORES, [self._scores()]),
            ("samples", SAMPLES, self._parts()),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [_written(folder / f"{name}.parquet", columns, tables) for name, columns, tables in parts]
        except OSError as error:
            why = error.strerror or error
            raise StoreError(f"cannot write {folder}: {why}; name another folder with --out.") from error

    def _runs(self) -> Any:
        return _table(RUNS, (_run_row(each, self.catalog) for each in self.kept))

    def _scores(self) -> Any:
        return _table(SCORES, (row for each in self.kept for row in _score_rows(each, self.catalog, self.root)))

    def _parts(self) -> Iterator[Any]:
        """The samples of one run and probe at a time, in Arrow's form."""
        every = [(each, name) for each in self.kept for name in each.probes]
        chosen = [(each, name) for each, name in every if fnmatchcase(name, self.probe)]
        if every and not chosen:
            raise unknown("complete probe", self.probe, {name for _, name in every})
        return (_samples(each, name) for each, name in chosen)


def evidence_of(probe: str, outcomes: Outcomes) -> "pd.DataFrame":
    """The outcomes of one probe, a row a sample; the top classes of sequences are lists."""
    import pandas as pd

    columns = {name: list(value) if value.ndim > 1 else value for name, value in vars(outcomes).items() if len(value)}
    return pd.DataFrame({"probe": probe, **columns})


def _samples(each: Kept, probe: str) -> Any:
    """The samples of one complete probe of a run, top classes in columns of their own."""
    import pyarrow as pa

    outcomes = each.run.outcomes(probe)
    assert outcomes is not None  # noqa: S101 - it is among the complete ones
    frame = evidence_of(probe, outcomes)
    if "top" in frame:
        top = np.stack(frame.pop("top").to_list())
        frame = frame.assign(**{f"top{place + 1}": top[:, place] for place in range(top.shape[1])})
    frame = frame.assign(**_keys(each)).reindex(columns=[*SAMPLES])
    return pa.Table.from_pandas(frame, _schema(SAMPLES), preserve_index=False).replace_schema_metadata()


def _keys(each: Kept) -> dict[str, str]:
    return {"suite": each.suite, "model": each.model, "variant": each.run.folder.name}


def _run_row(each: Kept, catalog: Catalog) -> dict[str, Any]:
    """One run, with what the shelf knows of its suite."""
    manifest, ended, settings = each.manifest, each.run.verdict(), each.run.settings()
    name, _, digest = manifest["suite"].partition(" ")
    asked, stale = _asked(each, catalog), each.stale(catalog)
    suite = asked[0] if asked is not None else None
    threat = suite.threat if suite is not None else None
    findings = [Finding(**finding) for finding in ended["findings"]] if ended else []
    return {
        **_keys(each),
        **{key: manifest[key] for key in ("seed", "total", "weights", "data", "rbench")},
        **{key: canonical_json(manifest.get(key, {})) for key in JSON},
        **{key: settings.pop(key, None) for key in ("torch", "device", "batch")},
        "packages": canonical_json(settings),
        "version": int(name.rpartition("@")[2]),
        "suite_digest": digest,
        "n": manifest["samples"],
        "dataset": suite.dataset if suite is not None else None,
        "norm": threat.norm if threat is not None else None,
        "eps": threat.eps if threat is not None else None,
        "radius": threat.radius if threat is not None else None,
        "complete": ended is not None,
        "verdict": _told(verdict_of(findings), diagnosed=bool(ended and ended["diagnosed"])),
        "findings": _codes(findings),
        "current": not stale,
        "stale": stale,
    }


def _score_rows(each: Kept, catalog: Catalog, root: Path) -> Iterator[dict[str, Any]]:
    """The scores of one run that have a value, or a reason why they can have none."""
    asked = _asked(each, catalog)
    if asked is None:
        return
    suite, variant = asked
    card = catalog.model(each.model) if each.model in catalog.files("models") else None
    baseline = baseline_of(catalog, suite, root, variant, each.manifest)
    found = assess(suite, each.run, claiming(card, variant), baseline)
    current = not each.stale(catalog)
    for row in _scores_of(suite, found):
        yield {**_keys(each), **row, "current": current}


def _scores_of(suite: Suite, found: Assessment) -> Iterator[dict[str, Any]]:
    for spec in suite.scores:
        score, undefined = found.scores[spec.name], found.undefined.get(spec.name, "")
        row: dict[str, Any] = {
            "score": spec.name,
            "title": spec.title or spec.name,
            "higher_is_better": spec.higher_is_better,
            "undefined": undefined,
        }
        if score is not None:
            row |= {"value": score.value, "low": score.interval[0], "high": score.interval[1], "n": score.n}
            row |= {"findings": _codes(score.findings)}
            row |= {"verdict": _told(verdict_of(score.findings), diagnosed=found.diagnosed)}
        if score is not None or undefined:
            yield row


def _asked(each: Kept, catalog: Catalog) -> tuple[Suite, Variant] | None:
    """The suite as a run asked it, and its variant; None if the shelf has that suite no longer."""
    try:
        return each.asked(catalog)
    except RbenchError:
        return None


def _told(verdict: Verdict, *, diagnosed: bool) -> Verdict | None:
    """A verdict as reports print it: nothing is called reliable that was not diagnosed."""
    return verdict if diagnosed or verdict != "reliable" else None


def _codes(findings: Iterable[Finding]) -> str:
    return " ".join(dict.fromkeys(finding.code for finding in findings))


def _table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=_schema(columns))


def _schema(columns: Mapping[str, str]) -> Any:
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])


def _written(path: Path, columns: Mapping[str, str], tables: Iterable[Any]) -> Path:
    """Write a Parquet file, a part at a time, beside its place, and put it there when it is whole."""
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with pq.ParquetWriter(temporary, _schema(columns), compression="zstd") as writer:
            for table in tables:
                writer.write_table(table)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
