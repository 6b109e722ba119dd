"""What a search of architectures found: its figures, of the data in its report."""

from pathlib import Path

from rbench.catalog import Catalog
from rbench.errors import MissingError, unknown
from rbench.report.plot import Drawing
from rbench.report.search_plots import drawings


def search(catalog: Catalog, root: Path, *, name: str, figure: str) -> Drawing:
    """A figure of a finished search: density, direct, fsp, operations or best-cells.

    Raises `MissingError` with the command if the search is not finished, `UsageError` for a figure that it lacks.
    """
    import pandas as pd

    spec = catalog.search(name)
    path = root / "searches" / name / "candidates.csv"
    if not path.is_file():
        raise MissingError(f"there is no {path}; make it: rbench search {name} --runs {root}")
    frame = pd.read_csv(path)
    made = drawings(spec, frame)
    if figure not in made:
        raise unknown("figure", figure, made, f"search {name!r}")
    return Drawing(made[figure](), frame)
