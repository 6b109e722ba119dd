"""Store and specs to scores of models by columns, and what is missing; pure but for reading the store."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rbench.assess import assess
from rbench.catalog import Catalog, source_digest
from rbench.errors import unknown
from rbench.pages import Cell, Column, Sheet
from rbench.planner import Variant, command, run_folder
from rbench.store import Run
from rbench.types import Call, ModelCard, Suite, TableSpec, Verdict

NORMS = {"linf": "L-inf", "l2": "L2"}


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
    verdicts: dict[tuple[str, str], Verdict] = {}
    for model in spec.models:
        for suite in suites.values():
            row, total, verdict = _row(catalog, suite, model, root, variant)
            totals[suite.name] = max(total, totals.get(suite.name, 0))
            cells.update({(model, f"{suite.name}:{name}"): cell for name, cell in row.items()})
            verdicts.update({(model, suite.name): verdict} if verdict is not None else {})
    rows = tuple((model, catalog.model(model).title) for model in spec.models)
    protocol = tuple(protocol_of(suite, variant, totals[suite.name]) for suite in suites.values())
    return Sheet(spec.name, spec.title, protocol, rows, tuple(columns), cells, verdicts)


def _row(
    catalog: Catalog, suite: Suite, model: str, root: Path, variant: Variant
) -> tuple[dict[str, Cell], int, Verdict | None]:
    """The cells of one model and suite, the size of the whole dataset (0 if nothing has run) and the verdict."""
    run = Run(run_folder(root, suite.name, model, variant))
    fill = command(suite.name, model, variant)
    manifest = run.manifest()
    if manifest is not None and not is_current(catalog, suite, model, manifest, variant):
        manifest, fill = None, f"{fill} --fresh"
    if manifest is None:
        return {score.name: Cell(missing=fill) for score in suite.scores}, 0, None
    total = int(manifest["total"])
    found = assess(suite, run, claiming(catalog.model(model), variant))
    cells = {name: Cell(score, total, "" if score else fill) for name, score in found.scores.items()}
    return cells, total, found.shown


def claiming(card: ModelCard | None, variant: Variant) -> ModelCard | None:
    """The card whose claims are about this evaluation: none, if the user names other weights."""
    return card if variant.weights_file is None else None


def is_current(catalog: Catalog, suite: Suite, model: str, manifest: Mapping[str, Any], variant: Variant) -> bool:
    """Whether a run was made with this suite, this code and, unless the user names a file, the weights in the lock."""
    card = catalog.model(model)
    if manifest["suite"] != identity(suite) or manifest["arch"] != asdict(card.arch):
        return False
    surrogates = surrogate_cards(catalog, suite)
    if manifest["code"] != code_of(suite, card.arch, *(other.arch for other in surrogates.values())):
        return False
    pinned = {name: [catalog.weights(other)[1], asdict(other.arch)] for name, other in surrogates.items()}
    if manifest.get("surrogates", {}) != pinned:
        return False
    return variant.weights_file is not None or bool(manifest["weights"] == catalog.weights(card)[1])


def surrogate_cards(catalog: Catalog, suite: Suite) -> dict[str, ModelCard]:
    """The cards of all models that the probes of a suite craft on in the place of the model itself."""
    names = dict.fromkeys(name for probe in suite.probes for name in probe.surrogates)
    return {name: catalog.model(name) for name in names}


def code_of(suite: Suite, *archs: Call | None) -> dict[str, str]:
    """Digests of all code that the outcomes of a suite depend on, for models of some architectures."""
    pointers = {suite.data.use, *(probe.attack.use for probe in suite.probes if probe.attack is not None)}
    pointers |= {arch.use for arch in archs if arch is not None}
    own = "rbench.engine:run"
    foreign = sorted(use for use in pointers if use.split(".")[0] != "rbench")
    return {("rbench" if use == own else use): source_digest(use)[:16] for use in (own, *foreign)}


def identity(suite: Suite) -> str:
    """What a run pins of its suite: name, version and digest."""
    return f"{suite.name}@{suite.version} {suite.digest[:16]}"


def protocol_of(suite: Suite, variant: Variant, total: int) -> str:
    """How the numbers of a suite came about, as one line of a caption."""
    n = total if variant.limit is None else min(variant.limit, total)
    count = f"n = {n}" if n == total else f"ONLY THE FIRST {n} OF {total} SAMPLES"
    count = count if total else "nothing run yet"
    threat = suite.threat
    ball = f" {NORMS[threat.norm]}, eps = {threat.eps}," if threat is not None else ""
    return f"{suite.name}@{suite.version}: {suite.dataset},{ball} {count}, seed {variant.seed}"
