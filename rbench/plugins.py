"""Installed packages that bring shelves of their own, by the entry point `rbench.catalog`."""

import importlib
import importlib.util
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path


@dataclass(frozen=True)
class Plugin:
    """An installed package that declares the entry point `rbench.catalog`: its shelves, or why it has none."""

    name: str
    package: str
    roots: tuple[Path, ...] = ()
    error: str = ""

    def imported(self) -> "Plugin":
        """The same after its package was imported, broken if that fails: nothing else imports it unasked."""
        try:
            importlib.import_module(self.package)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            return self if self.error else replace(self, error=f"{type(error).__name__}: {error}")
        return self


def plugins() -> list[Plugin]:
    """All installed packages that bring shelves; none of them is imported, and a broken one breaks no other."""
    found = []
    for point in entry_points(group="rbench.catalog"):
        try:
            spec = importlib.util.find_spec(point.module)
        except Exception as error:  # noqa: BLE001 - it imports the parents of a package
            found.append(Plugin(point.name, point.module, error=f"{type(error).__name__}: {error}"))
            continue
        places = tuple(Path(place) for place in spec.submodule_search_locations or ()) if spec else ()
        wrong = "" if places else f"{point.module!r} is no package with shelves"
        found.append(Plugin(point.name, point.module, places, wrong))
    return found
