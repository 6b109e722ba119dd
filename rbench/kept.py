"""Runs on disk back to what they are: found under the folder of runs, and read as suite, model and variant."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rbench.catalog import Catalog
from rbench.current import identity, is_current
from rbench.errors import RbenchError, StoreError, UsageError
from rbench.planner import Variant
from rbench.store import MANIFEST, Run
from rbench.types import Suite

PINNED = ("arch", "code", "data", "rbench", "samples", "seed", "suite", "total", "weights")


@dataclass(frozen=True)
class Kept:
    """A run that lies on disk, complete or not, with the names that its folder has and what it is pinned to."""

    run: Run
    suite: str
    model: str
    variant: Variant
    manifest: Mapping[str, Any]

    @property
    def probes(self) -> list[str]:
        """The probes that are complete, by name."""
        return sorted(marker.parent.name for marker in self.run.folder.glob("*/complete.json"))

    def asked(self, catalog: Catalog) -> tuple[Suite, Variant]:
        """The suite as this run asked it, and the whole variant; raises `UsageError` if the shelf has it no longer."""
        suite, variant = catalog.suite(self.suite), self.variant
        if "-without-" in self.run.folder.name:
            seen = self.manifest.get("views", {})
            variant = replace(variant, missing=tuple(p.name for p in suite.probes if p.data and p.name not in seen))
        applied = variant.apply(suite)
        if identity(applied) != self.manifest["suite"]:
            raise UsageError(f"the suite was {self.manifest['suite']} then and is {identity(applied)} now.")
        return applied, variant

    def stale(self, catalog: Catalog) -> str:
        """Why a table would not count this run, as a sentence; "" if it would."""
        try:
            suite, variant = self.asked(catalog)
            now = is_current(catalog, suite, self.model, self.manifest, variant)
        except RbenchError as error:
            return str(error)
        return "" if now else "the architecture, the weights or the code are others now."


def kept(root: Path, suite: str = "*", model: str = "*") -> list[Kept]:
    """All runs under a folder whose suite and model match the patterns, in the order of their folders.

    Folders that --fresh moved aside, and those of searches and studies, are none. Raises `StoreError` for a folder that
    is damaged or is not where it belongs.
    """
    found = []
    for path in sorted(root.glob(f"*/*/*/{MANIFEST}")):
        *_, by, of, name, _ = path.parts
        if ".old-" not in name and fnmatchcase(by, suite) and fnmatchcase(of, model):
            manifest = Run(path.parent).manifest() or {}
            if "suite" in manifest or "model" in manifest:
                found.append(_kept(path.parent, manifest))
    return found


def _kept(folder: Path, manifest: Mapping[str, Any]) -> Kept:
    by, of, name = folder.parts[-3:]
    lacking = [key for key in PINNED if key not in manifest]
    if lacking:
        raise StoreError(f"{folder} is no run: its manifest has no {lacking[0]!r}; move the folder away.")
    variant = Variant.of_folder(name)
    belongs = Path(str(manifest["suite"]).partition("@")[0], str(manifest.get("model")))
    if variant is None or belongs != Path(by, of) or variant.seed != manifest["seed"]:
        raise StoreError(
            f"{folder} holds a run of {belongs} with seed {manifest['seed']}: it was renamed or copied; "
            "give it the name it had, or move it out of the folder of runs."
        )
    return Kept(Run(folder), by, of, variant, manifest)
