"""What the pages of models and suites say: findings with their explanations, provenance, and the exact protocol."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rbench.captions import NORMS
from rbench.catalog import Catalog, resolve
from rbench.doubt.codes import diagnostic
from rbench.doubt.diagnostics import Diagnostic
from rbench.errors import UsageError
from rbench.planner import Variant, run_folder
from rbench.report.cells import MARKS
from rbench.report.site.boards import Board, Row
from rbench.report.site.evidence import Grid, confusion, severities
from rbench.report.site.exhibits import Curates
from rbench.report.site.found import Found
from rbench.report.site.halls import Hall, hall
from rbench.store import Run
from rbench.types import Call, Finding, ModelCard, Probe, ScoreSpec, Suite, verdict_of


@dataclass(frozen=True)
class Noted:
    """A finding, the scores that it concerns, its mark and what its code means (None for an unknown code)."""

    finding: Finding
    scores: tuple[str, ...]
    meaning: Diagnostic | None

    @property
    def mark(self) -> str:
        """The mark of doubt."""
        return MARKS[verdict_of([self.finding])]


@dataclass(frozen=True)
class Part:
    """One run on a model's page."""

    board: Board
    row: Row
    verdict: str
    provenance: Mapping[str, str]
    findings: tuple[Noted, ...]
    severities: Grid | None
    confusion: Grid | None
    gallery: Hall | None = None

    @property
    def printed(self) -> bool:
        """Whether a paper prints any of its numbers."""
        return any(entry.cell.printed is not None for entry in self.row.entries)


def parts(boards: Mapping[str, list[Board]], found: Found, model: str, curate: Curates | None = None) -> list[Part]:
    """Everything that was run of a model, with galleries if anything makes them."""
    every = ((board, board.row_of(model)) for some in boards.values() for board in some)
    return [_part(board, row, found, curate) for board, row in every if row is not None]


def _part(board: Board, row: Row, found: Found, curate: Curates | None) -> Part:
    run = Run(run_folder(found.root, board.suite.name, row.model, board.variant))
    verdict = board.sheet.verdicts.get((row.model, board.suite.name), "")
    fresh = row.measured  # an old run's evidence is as little shown as its scores
    return Part(
        board,
        row,
        verdict,
        _provenance(run),
        findings(row),
        severities(board.suite, run) if fresh else None,
        confusion(board.suite, run) if fresh else None,
        _gallery(board, row, curate) if fresh and curate is not None else None,
    )


def _gallery(board: Board, row: Row, curate: Curates) -> Hall | None:
    threat = board.suite.threat
    return hall(curate(board.suite, row.model, board.variant), NORMS[threat.norm] if threat is not None else "")


def findings(row: Row) -> tuple[Noted, ...]:
    """Everything that was found about the scores of a row, the gravest first."""
    places: dict[Finding, list[str]] = {}
    for entry in row.entries:
        for finding in entry.cell.score.findings if entry.cell.score is not None else ():
            places.setdefault(finding, []).append(entry.column.title)
    gravity = ("error", "warn", "info")
    ordered = sorted(places, key=lambda finding: (gravity.index(finding.level), finding.code))
    return tuple(Noted(f, tuple(places[f]), _meaning(f.code)) for f in ordered)


def _meaning(code: str) -> Diagnostic | None:
    try:
        return diagnostic(code)
    except UsageError:  # of another version, or of a suite's own code
        return None


def _provenance(run: Run) -> dict[str, str]:
    """What a run pins and how it was computed, as words."""
    manifest, settings = run.manifest() or {}, run.settings()
    entries: dict[str, Any] = {
        "suite": manifest.get("suite"),
        "samples": f"{manifest.get('samples')} of {manifest.get('total')}",
        "seed": manifest.get("seed"),
        "weights (sha256)": manifest.get("weights"),
        "data (sha256)": manifest.get("data"),
        "rbench": manifest.get("rbench"),
        **{f"code of {name}": digest for name, digest in manifest.get("code", {}).items()},
        **{f"surrogate {name} (sha256)": pinned[0] for name, pinned in manifest.get("surrogates", {}).items()},
        **settings,
    }
    return {name: str(value) for name, value in entries.items() if value is not None}


def card_facts(catalog: Catalog, card: ModelCard) -> dict[str, str]:
    """What a card says, as words."""
    entries = {
        "title": card.title,
        "paper": card.paper,
        "dataset": card.dataset,
        "architecture": called(card.arch),
        "recipe": card.recipe or "",
        "adaptive": "yes: the model chooses its weights or path by the image" if card.adaptive else "",
        "note": card.note,
        "weights (sha256)": catalog.weights(card)[1] or f"none on the shelf: {card.remedy}",
        **{f"paper prints {r.suite}, {r.score}": f"{r.value:.2f}% ({r.source})" for r in card.reported},
    }
    return {name: value for name, value in entries.items() if value}


def suite_facts(suite: Suite) -> dict[str, Any]:
    """What fixes the numbers of a suite, as words; and its probes, those of its diagnosis included."""
    threat, whole = suite.threat, Variant().apply(suite)
    entries = {
        "version": str(suite.version),
        "digest": whole.digest,
        "dataset": suite.dataset,
        "data": called(suite.data),
        "threat": f"{NORMS[threat.norm]}, eps = {threat.eps}, images in [0, 1]" if threat else "none: nothing attacks",
        "draws": f"{suite.draws} of the model's own randomness an image" if suite.draws > 1 else "",
        "compared with": suite.baseline,
        "diagnosis": "probes named diag-..., on which the findings rest" if suite.diagnose else "",
    }
    return {"facts": {name: value for name, value in entries.items() if value}, "probes": whole.probes}


def arguments(call: Call | ScoreSpec) -> str:
    """The arguments of a call as a reader would write them."""
    return ", ".join(f"{name} = {value!r}" for name, value in call.args.items())


def called(call: Call) -> str:
    """A call on one line."""
    return f"{call.use} ({arguments(call)})" if call.args else call.use


def question(probe: Probe) -> str:
    """What kind of question a probe asks."""
    if probe.attack is not None:
        return "attack"
    return "data" if probe.data is not None else "clean images"


def derived(score: ScoreSpec) -> str:
    """How a score is derived: the first paragraph of what its metric says of itself."""
    return " ".join((inspect.getdoc(resolve(score.use)) or "").split("\n\n")[0].split())
