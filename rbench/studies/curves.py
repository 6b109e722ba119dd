"""Security curves: one model and suite at several eps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import curve as curves
from rbench.api import evaluate
from rbench.catalog import Catalog
from rbench.curve import Curve, Value
from rbench.errors import UsageError
from rbench.evaluating import Evaluation
from rbench.files import digest_of, write_atomically
from rbench.pages import Sheet
from rbench.planner import Variant
from rbench.sources import data_source, dataset_of
from rbench.types import Suite, Verdict, verdict_of

if TYPE_CHECKING:
    from torch import nn

SILENT = "RB143"  # an attack that fooled nothing
WORST_FIRST: tuple[Verdict, ...] = ("unreliable", "suspect")


@dataclass(frozen=True)
class CurveStudy:
    """A security curve, the folder that holds its picture and CSV, and the evaluations that it is made of, by eps."""

    curve: Curve
    folder: Path
    runs: Mapping[str, Evaluation]

    @property
    def fresh_blocks(self) -> int:
        """How many blocks had to be run."""
        return sum(run.fresh_blocks for run in self.runs.values())

    @property
    def sheet(self) -> Sheet:
        """The curve as a sheet."""
        return self.curve.sheet

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not asked: data that are missing, and what the backend has no counterpart of."""
        return next(iter(self.runs.values())).left_out

    @property
    def where(self) -> str:
        """Where the picture lies, as part of a sentence."""
        return f"picture in {self.folder / 'curve.png'}"

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the evaluations and of the curve itself."""
        verdicts = {*self.curve.verdicts.values()}
        return next((word for word in WORST_FIRST if word in verdicts), "reliable")


def security_curve(model: "str | nn.Module", suite: str, eps: str | Sequence[str], **options: Any) -> CurveStudy:
    """Evaluate a model at each eps of a list such as "0,4/255,8/255", and without bound; draw the curve of its scores.

    At 0 stands the clean accuracy; `options` are those of `evaluate`. Each eps is an ordinary run, so the same call
    resumes. `study.curve.frame` is the curve as a pandas DataFrame. Raises `UsageError` for a list that makes no sense
    and for suites in which nothing attacks.
    """
    catalog = options["catalog"] = options.get("catalog") or Catalog.find()
    variant = Variant(probes=tuple(options.get("probes", ())), backend=options.get("backend"))
    spec = variant.apply(catalog.suite(suite))
    words = curves.eps_list(eps, spec.rules.norm)
    if not curves.attacked(spec):
        raise UsageError(f"suite {suite!r} has no score of an attack whose eps could vary.")
    if words[0] == "0" and all(probe.attack is not None for probe in spec.probes):
        raise UsageError("eps 0 asks for the clean accuracy: add the probe without attack to those asked for.")
    points = curves.points_of(words, spec.rules.norm, _image_size(spec, options))
    runs = {point.eps: evaluate(model, suite, eps=point.eps, **options) for point in points if point.radius}
    curve = _curve(points, runs)
    folder = _folder(curve, runs)
    _draw(curve, folder)
    return CurveStudy(curve, folder, runs)


def _image_size(suite: Suite, options: Mapping[str, Any]) -> int:
    """How many values an image of a suite has."""
    import numpy as np

    with data_source(options.get("data_dir"), download=bool(options.get("download", False))):
        return int(dataset_of(suite).images(np.arange(1)).size)


def _curve(points: tuple[curves.Point, ...], runs: Mapping[str, Evaluation]) -> Curve:
    first = next(iter(runs.values()))
    evidence = {eps: run.evidence for eps, run in runs.items()}
    composed = curves.compose(first.suite, points, evidence)
    falls = any(eps == points[-1].eps and value.score.value == 0 for (eps, _), value in composed.items())
    values = {
        (eps, name): _with_findings(value, runs.get(eps), name, falls=falls) for (eps, name), value in composed.items()
    }
    protocol = first.sheet.protocol[0].replace(f"eps = {first.suite.rules.eps}, ", "")
    verdicts = {eps: _verdict(run, [v for (at, _), v in values.items() if at == eps]) for eps, run in runs.items()}
    total = max(cell.total for cell in first.sheet.cells.values())
    shown = {eps: verdict for eps, verdict in verdicts.items() if verdict is not None}
    return Curve(first.suite, first.model, protocol, total, points, values, shown)


def _verdict(run: Evaluation, values: Sequence[Value]) -> Verdict | None:
    """What a row of the curve may be called: nothing is called reliable that was not diagnosed."""
    found = [finding for finding in run.findings if finding.code != SILENT]  # judged with the values
    verdict = verdict_of([*found, *(finding for value in values for finding in value.score.findings)])
    return verdict if verdict != "reliable" or run.suite.diagnose else None


def _with_findings(value: Value, run: Evaluation | None, score: str, *, falls: bool) -> Value:
    """A value with what the run at its eps found about it as well.

    That an attack fooled nothing casts no doubt where all `falls` in the end, given room: then that eps is just small.
    """
    found = run.scores[score].findings if run is not None else ()
    if falls:
        found = tuple(replace(finding, level="info") if finding.code == SILENT else finding for finding in found)
    findings = tuple(dict.fromkeys((*found, *value.score.findings)))
    return replace(value, score=replace(value.score, findings=findings))


def _folder(curve: Curve, runs: Mapping[str, Evaluation]) -> Path:
    """Beside the runs: a folder of its own for each list of eps and variant."""
    beside = next(iter(runs.values())).folder
    eps = [point.eps for point in curve.points]
    first = next(iter(runs))
    name = beside.name.replace("-eps" + first.replace("/", "_"), "", 1)
    return beside.with_name(f"curve-{name}-{digest_of(eps)[:8]}")


def _draw(curve: Curve, folder: Path) -> None:
    from rbench.report.plot import curve_files

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in curve_files(curve).items():
        write_atomically(folder / name, content)
