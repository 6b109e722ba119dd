"""Store and specs to scores of models by columns, and what is missing; pure but for reading the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rbench import flags
from rbench.catalog import Catalog, resolve, source_digest
from rbench.errors import UsageError, unknown
from rbench.planner import Variant, command, run_folder
from rbench.store import Run
from rbench.types import Call, Cell, Column, Finding, Outcomes, Score, Sheet, Suite, TableSpec


def scores_of(suite: Suite, run: Run) -> dict[str, Score | None]:
    """Every score of a suite whose probes are complete in a run; None for the others."""
    names = [probe.name for probe in suite.probes]
    evidence = {name: outcomes for name in names if (outcomes := run.outcomes(name)) is not None}
    findings = {name: (*(run.findings(name) or ()), *flags.find(suite, name, evidence)) for name in evidence}
    return {score.name: _score(score.use, score.of, evidence, findings) for score in suite.scores}


def _score(
    use: str, probes: Sequence[str], evidence: Mapping[str, Outcomes], findings: Mapping[str, tuple[Finding, ...]]
) -> Score | None:
    if any(name not in evidence for name in probes):
        return None
    try:
        score: Score = resolve(use)([evidence[name] for name in probes])
    except ValueError as error:
        raise UsageError(f"{use} cannot score the probes {', '.join(probes)}: {error}.") from error
    own = tuple(dict.fromkeys(finding for name in probes for finding in findings[name]))
    return Score(score.value, score.interval, score.n, own)


def table_spec(catalog: Catalog, name: str) -> TableSpec:
    """A table of the shelf; or, by a suite's name, all its scores for every model of its dataset."""
    tables, suites = catalog.files("tables"), catalog.files("suites")
    if name in tables:
        return catalog.table(name)
    if name not in suites:
        raise unknown("table or suite", name, [*tables, *suites])
    suite = catalog.suite(name)
    models = [model for model in catalog.files("models") if catalog.model(model).dataset == suite.dataset]
    return TableSpec(name, suite.title, tuple(models), tuple(f"{name}:{score.name}" for score in suite.scores))


def collect(catalog: Catalog, spec: TableSpec, root: Path, variant: Variant) -> Sheet:
    """The sheet of a table: a cell for each model and column, filled from the runs under `root`."""
    suites: dict[str, Suite] = {}
    columns = []
    for key in spec.columns:
        suite_name, _, score_name = key.partition(":")
        suite = suites.setdefault(suite_name, variant.apply(catalog.suite(suite_name)))
        score = next((s for s in suite.scores if s.name == score_name), None)
        if score is None:
            raise unknown("score", score_name, [s.name for s in suite.scores], f"table {spec.name!r}: {key!r}")
        columns.append(Column(key, score.title or score.name, score.higher_is_better))
    cells: dict[tuple[str, str], Cell] = {}
    totals: dict[str, int] = {}
    for model in spec.models:
        for suite in suites.values():
            row, total = _row(catalog, suite, model, root, variant)
            totals[suite.name] = max(total, totals.get(suite.name, 0))
            cells.update({(model, f"{suite.name}:{name}"): cell for name, cell in row.items()})
    rows = tuple((model, catalog.model(model).title) for model in spec.models)
    protocol = tuple(protocol_of(suite, variant, totals[suite.name]) for suite in suites.values())
    return Sheet(spec.name, spec.title, protocol, rows, tuple(columns), cells)


def _row(catalog: Catalog, suite: Suite, model: str, root: Path, variant: Variant) -> tuple[dict[str, Cell], int]:
    """The cells of one model and suite, and the size of the whole dataset (0 if nothing has run)."""
    run = Run(run_folder(root, suite.name, model, variant))
    fill = command(suite.name, model, variant)
    manifest = run.manifest()
    if manifest is not None and not is_current(catalog, suite, model, manifest, variant):
        manifest, fill = None, f"{fill} --fresh"
    if manifest is None:
        return {score.name: Cell(missing=fill) for score in suite.scores}, 0
    total = int(manifest["total"])
    scores = scores_of(suite, run)
    return {name: Cell(score, total, "" if score else fill) for name, score in scores.items()}, total


def is_current(catalog: Catalog, suite: Suite, model: str, manifest: Mapping[str, Any], variant: Variant) -> bool:
    """Whether a run was made with this suite, this code and, unless the user names a file, the weights in the lock."""
    card = catalog.model(model)
    if manifest["suite"] != identity(suite) or manifest["arch"] != asdict(card.arch):
        return False
    if manifest["code"] != code_of(suite, card.arch):
        return False
    return variant.weights_file is not None or bool(manifest["weights"] == catalog.weights(card)[1])


def code_of(suite: Suite, arch: Call | None) -> dict[str, str]:
    """Digests of all code that the outcomes of a suite on a model depend on."""
    pointers = {suite.data.use, *(probe.attack.use for probe in suite.probes if probe.attack is not None)}
    pointers |= {arch.use} if arch is not None else set()
    own = "rbench.engine:run"
    foreign = sorted(use for use in pointers if use.split(".")[0] != "rbench")
    return {("rbench" if use == own else use): source_digest(use)[:16] for use in (own, *foreign)}


def identity(suite: Suite) -> str:
    """What a run pins of its suite: name, version and digest."""
    return f"{suite.name}@{suite.version} {suite.digest[:16]}"


def protocol_of(suite: Suite, variant: Variant, total: int) -> str:
    """How the numbers of a suite came about, as one line of a caption."""
    norm = {"linf": "L-inf", "l2": "L2"}[suite.threat.norm]
    n = total if variant.limit is None else min(variant.limit, total)
    count = f"n = {n}" if n == total else f"ONLY THE FIRST {n} OF {total} SAMPLES"
    count = count if total else "nothing run yet"
    return (
        f"{suite.name}@{suite.version}: {suite.dataset}, {norm}, eps = {suite.threat.eps}, {count}, seed {variant.seed}"
    )
