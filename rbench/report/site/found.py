"""The runs under a folder: which evaluations they are, and which of them no table can show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.planner import NAMED, Variant
from rbench.store import MANIFEST
from rbench.types import ModelCard, Suite, fraction

SET_ASIDE = re.compile(r".*\.old-\d+")
FROM_FILE = "of weights in a file (--weights), which no card names"
PARTIAL = "without the data of some corruptions (--allow-partial)"


@dataclass(frozen=True)
class Found:
    """The runs of each suite by variant, as names of models; and how many cannot be shown, by suite and reason.

    `cards` are all of the catalog, `suites` those that have a run.
    """

    root: Path
    cards: Mapping[str, ModelCard]
    suites: Mapping[str, Suite]
    runs: Mapping[str, Mapping[Variant, tuple[str, ...]]]
    hidden: Mapping[tuple[str, str], int]

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that has a run which can be shown."""
        return tuple(sorted({m for variants in self.runs.values() for names in variants.values() for m in names}))


def find(catalog: Catalog, root: Path) -> Found:
    """All runs under a folder, complete ones first; raises an `RbenchError` if it is no folder, or holds no run."""
    if not root.is_dir():
        raise MissingError(f"there is no folder {root}; name the one that `rbench eval --runs FOLDER` wrote.")
    places = sorted(p.parent for p in root.glob(f"*/*/*/{MANIFEST}") if NAMED.match(p.parent.name))
    if not places:
        raise MissingError(f"{root} holds no runs; `rbench eval --suite SUITE --model MODEL --runs {root}` makes one.")
    cards, known = catalog.cards(), catalog.files("suites")
    suites = {name: catalog.suite(name) for name in sorted({p.parent.parent.name for p in places} & known.keys())}
    runs: dict[str, dict[Variant, list[str]]] = {}
    hidden: dict[tuple[str, str], int] = {}
    for folder in places:
        if SET_ASIDE.fullmatch(folder.name):
            continue
        model, suite = folder.parent.name, folder.parent.parent.name
        shown = _shown(suites.get(suite), cards.get(model), folder)
        if isinstance(shown, str):
            hidden[suite, shown] = hidden.get((suite, shown), 0) + 1
        else:
            runs.setdefault(suite, {}).setdefault(shown, []).append(model)
    ordered = {suite: {v: tuple(runs[suite][v]) for v in sorted(runs[suite], key=_order)} for suite in sorted(runs)}
    return Found(root, cards, suites, ordered, dict(sorted(hidden.items())))


def variant_of(name: str) -> Variant | None:
    """The variant that a run folder is named after; None where its name does not tell all of it."""
    variant = Variant.of_folder(name)
    return variant if variant is not None and variant.folder == name else None


def words(variant: Variant) -> str:
    """A variant as a heading: what sets it apart from the whole suite on all samples with seed 0."""
    parts = [f"first {variant.limit} samples"] if variant.limit else []
    parts += [f"at eps = {variant.eps}"] if variant.eps else []
    parts += [f"only {', '.join(variant.probes)}"] if variant.probes else []
    parts += [f"attacks by {variant.backend}"] if variant.backend else []
    parts += [f"seed {variant.seed}"] if variant.seed else []
    return "; ".join(parts) or "all samples"


def _shown(suite: Suite | None, card: ModelCard | None, folder: Path) -> Variant | str:
    """The variant of a run, or why no table can show it."""
    if suite is None:
        return "no suite has that name; name its shelf with --catalog"
    if card is None:
        return f"no card is named {folder.parent.name!r}; name its shelf with --catalog"
    if card.dataset != suite.dataset:
        return f"{card.name!r} is a model of another dataset"
    variant = variant_of(folder.name)
    if variant is None:
        return _unnamed(folder.name)
    try:
        variant.apply(suite)
    except UsageError as error:
        return str(error)
    return variant


def _unnamed(name: str) -> str:
    """Why the name of a run folder does not tell what was run."""
    match = NAMED.fullmatch(name)
    if match is not None and match["weights"]:
        return FROM_FILE
    return PARTIAL if match is not None and match["missing"] else f"the folder {name!r} is named like no evaluation"


def _order(variant: Variant) -> tuple[float, bool, bool, int, str]:
    """The whole suite first, then parts of it on many samples, then on few; then other eps, the smallest first."""
    whole = -variant.limit if variant.limit else -(2**31)
    eps = float(fraction(variant.eps, "eps")) if variant.eps else 0.0
    return eps, variant.backend is not None, bool(variant.probes), whole, variant.folder
