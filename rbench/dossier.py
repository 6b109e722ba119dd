"""What is known of one model: its card, its weights, what was measured of it and what was not; read from disk alone."""

from dataclasses import dataclass
from pathlib import Path

from rbench.catalog import Catalog
from rbench.kept import Kept, kept
from rbench.pages import Sheet
from rbench.places import placed, runs_of
from rbench.planner import Variant, command
from rbench.sheet import page_of
from rbench.types import ModelCard, Suite


@dataclass(frozen=True)
class Measured:
    """One run of the model with its own weights, by the suite as it was asked."""

    suite: Suite
    variant: Variant
    sheet: Sheet
    command: str


@dataclass(frozen=True)
class Dossier:
    """A model with all runs that a table would count; `unmeasured` are the commands that would add others.

    `digest` is the sha256 of the weights, None if there are none yet.
    """

    card: ModelCard
    digest: str | None
    measured: tuple[Measured, ...]
    unmeasured: tuple[str, ...]


def dossier(catalog: Catalog, name: str, root: Path) -> Dossier:
    """What the shelves and the runs under `root` hold about a model; raises `UsageError` for an unknown name."""
    card = catalog.model(name)
    runs = [each for each in kept(root, model=name) if each.variant.weights_file is None and not each.stale(catalog)]
    pages = [_measured(catalog, each, root) for each in runs]
    found = sorted((page for page in pages if _has_scores(page.sheet)), key=_whole_first)
    seen = {page.suite.name for page in found}
    left = (command(suite, name, Variant()) for suite in _asked_of(catalog, card) if suite not in seen)
    return Dossier(card, catalog.weights(card)[1], tuple(found), tuple(left))


def _measured(catalog: Catalog, each: Kept, root: Path) -> Measured:
    suite, variant = each.asked(catalog)
    words = command(suite.name, each.model, variant)
    words += " --allow-partial" if variant.missing else ""
    return Measured(suite, variant, page_of(catalog, suite, each.model, root, variant), words)


def _has_scores(sheet: Sheet) -> bool:
    return any(cell.score is not None for cell in sheet.cells.values())


def _whole_first(page: Measured) -> tuple[str, bool, str]:
    """By suite; a run of all samples before those of a part."""
    return page.suite.name, page.variant.limit is not None, page.variant.folder


def _asked_of(catalog: Catalog, card: ModelCard) -> list[str]:
    """The suites that the model's paper reports on and that tables show it by; failing these, all of its dataset."""
    tables = [catalog.table(name) for name in catalog.files("tables")]
    shown = (suite for table in tables for suite, model in runs_of(placed(catalog, table)) if model == card.name)
    known = catalog.files("suites")
    named = dict.fromkeys([*(claim.suite for claim in card.reported), *shown])
    return [name for name in named if name in known] or [
        name for name in known if catalog.suite(name).dataset == card.dataset
    ]
