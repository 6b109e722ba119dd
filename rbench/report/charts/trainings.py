"""How trainings went: held-out errors by epoch."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbench.catalog import Catalog
from rbench.errors import MissingError
from rbench.report.plot import Drawing, canvas, colour, style

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("clean", "robust")


def trainings(catalog: Catalog, root: Path, *, models: tuple[str, ...], seeds: tuple[int, ...] = (0,)) -> Drawing:
    """The held-out error in % of each model by epoch, on clean and on attacked images: mean and span of the seeds.

    Raises `MissingError` with the commands for trainings that are not there yet.
    """
    frame = _frame(catalog, root, models, seeds)
    figure, panels = canvas(9, 4.0, columns=2)
    for axes, kind in zip(panels, KINDS, strict=True):
        for index, model in enumerate(models):
            own = frame[(frame.model == model) & frame[kind].notna()].groupby("epoch")[kind]
            errors = 100 * own.agg(["mean", "min", "max"])
            look = {"color": colour(index), "linestyle": style(index)}
            axes.plot(errors.index, errors["mean"], linewidth=1.4, label=catalog.model(model).title, **look)
            axes.fill_between(errors.index, errors["min"], errors["max"], color=colour(index), alpha=0.1, linewidth=0)
        axes.set(xlabel="epoch", ylabel="held-out error (%)", title={"clean": "clean", "robust": "attacked"}[kind])
        axes.set(yscale="log")
        axes.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"], minor=False)
        axes.minorticks_off()
    figure.legend(
        *panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=3
    )
    told = f"seeds {', '.join(map(str, seeds))}: mean and span" if len(seeds) > 1 else f"seed {seeds[0]}"
    figure.suptitle(f"held-out training images, {told}", fontsize=9)
    return Drawing(figure, frame)


def _frame(catalog: Catalog, root: Path, models: tuple[str, ...], seeds: tuple[int, ...]) -> "pd.DataFrame":
    """A row for each model, seed and epoch; errors are shares, NaN where an epoch was not judged by an attack."""
    import pandas as pd

    parts, lacking = [], []
    for model in models:
        catalog.model(model)
        for seed in seeds:
            path = root / "train" / model / f"seed{seed}" / "metrics.csv"
            if not (path.parent / "weights.safetensors").is_file():
                lacking.append(f"rbench train {model} --seed {seed} --out {root / 'train'}")
                continue
            rows = pd.read_csv(path)
            errors = {kind: 1 - rows[kind].astype(np.float64) for kind in KINDS}
            parts.append(pd.DataFrame({"model": model, "seed": seed, "epoch": rows.epoch, **errors}))
    if lacking:
        raise MissingError("nothing is drawn of half the trainings; make what is missing:\n" + "\n".join(lacking))
    return pd.concat(parts, ignore_index=True)
