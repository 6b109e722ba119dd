"""Figures of the shelf, drawn of what was run: a picture as PNG and PDF, and its data as CSV."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.api import runs_root
from rbench.catalog import Catalog, bind, resolve
from rbench.errors import UsageError
from rbench.figures import GIVEN
from rbench.files import write_atomically
from rbench.studies.asking import Asking

if TYPE_CHECKING:
    from rbench.report.plot import Drawing


def figure(
    name: str,
    *,
    out: str | Path | None = None,
    runs: str | Path | None = None,
    device: str | None = None,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: bool = False,
    catalog: Catalog | None = None,
) -> list[Path]:
    """Draw a figure of the shelf and write NAME.png, NAME.pdf and NAME.csv; returns these files.

    It is drawn of what lies in the folder of runs, but for analyses, which ask their models. Raises `MissingError` with
    the commands that make what is missing, and `UsageError`, with the figure's file, for names that do not exist.
    """
    catalog = catalog or Catalog.find()
    offered = {
        "catalog": catalog,
        "root": runs_root(runs),
        "means": Asking(device, data_dir, download=download, progress=progress),
    }
    drawn = _made(catalog, name, offered)
    folder = Path(out) if out is not None else runs_root(runs) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    files = drawn.files(name)
    for file, content in files.items():
        write_atomically(folder / file, content)
    return [folder / file for file in files]


def _made(catalog: Catalog, name: str, offered: Mapping[str, Any]) -> "Drawing":
    spec = catalog.figure(name)
    try:
        wanted = [key for key in GIVEN if key in signature(resolve(spec.draw.use)).parameters]
        drawn: Drawing = bind(spec.draw, wanted)(**{key: offered[key] for key in wanted})
    except UsageError as error:
        raise UsageError(f"{catalog.files('figures')[name]}: {error}", code=error.code) from error
    return drawn
