"""The verb `compare`: two runs of one suite, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rbench.api import runs_root
from rbench.captions import protocol_of
from rbench.catalog import Catalog
from rbench.current import identity
from rbench.errors import UsageError
from rbench.files import write_atomically
from rbench.pairing import Difference, Side, differences, side_of
from rbench.planner import Variant, runs_option
from rbench.sources import data_source, dataset_of
from rbench.types import Suite


@dataclass(frozen=True)
class Pairing:
    """Two runs of a suite, how their numbers came about, and their differences by score."""

    suite: Suite
    sides: tuple[Side, Side]
    protocol: str
    differences: tuple[Difference, ...]

    def __getitem__(self, score: str) -> Difference:
        """The difference by one score."""
        return next(each for each in self.differences if each.score == score)


def compare(
    first: str,
    second: str,
    suite: str,
    *,
    scores: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    eps: str | None = None,
    probes: Sequence[str] = (),
    backend: str | None = None,
    runs: str | Path | None = None,
    catalog: Catalog | None = None,
) -> Pairing:
    """Compare two models on the same images by what their runs found; nothing is evaluated.

    `first` and `second` are names of models, "name@weights", or folders of runs. Scores are those that are means over
    images, all of the suite by default. Raises `MissingError` with the commands for runs that are not there, and
    `UsageError` for runs of different protocols, data or code, by name.
    """
    catalog = catalog or Catalog.find()
    root = runs_root(runs)
    variant = Variant(seed, limit, eps, None, backend, tuple(dict.fromkeys(probes)), options=runs_option(root))
    asked = catalog.suite(suite)
    spec = variant.apply(asked)
    sides = (side_of(catalog, root, asked, first, variant), side_of(catalog, root, asked, second, variant))
    for side in sides:
        if str(side.manifest.get("suite", "")).partition("@")[0] != suite:
            raise UsageError(f"{side.name} is a run of {side.manifest.get('suite')}, not of suite {suite!r}.")
    found = differences(spec, sides, scores)
    total = int(sides[0].manifest["total"])
    asked_for = {"suite": identity(spec), "seed": seed, "samples": total if limit is None else min(limit, total)}
    for key, wanted in asked_for.items():  # folders of runs are what they are, whatever the options say
        if (held := sides[0].manifest[key]) != wanted:
            raise UsageError(
                f"{sides[0].name}: its {key} is {held}, not {wanted}; name --eps, --seed or --limit as it has."
            )
    return Pairing(spec, sides, protocol_of(spec, variant, total), tuple(found))


def drawable(path: Path) -> None:
    """Raise `UsageError` for a picture of another form than PNG or PDF."""
    if path.suffix not in (".png", ".pdf"):
        raise UsageError(f"{path}: name a file that ends in .png or .pdf.")


def draw(pairing: Pairing, score: str, path: Path, data_dir: str | Path | None = None) -> None:
    """Write a PNG or PDF of the images on which both sides differ by a score: only the first is right, then the other.

    Raises `UsageError` for another ending, or if there is no such image.
    """
    from rbench.report.discordant import caption, discordant
    from rbench.report.plot import written

    drawable(path)
    if not any(pairing[score].discordant):
        raise UsageError(f"nothing is drawn: both sides agree on every image by {score!r}.")
    samples = np.array([sample for side in pairing[score].discordant for sample in side], dtype=np.int64)
    with data_source(data_dir, download=False):
        dataset = dataset_of(pairing.suite)
        images, labels = dataset.images(samples), dataset.labels[samples]
    taken = [_taken(side, pairing, score) for side in pairing.sides]
    captions = [
        caption(int(sample), int(label), {name: known[int(sample)] for name, known in zip("AB", taken, strict=True)})
        for sample, label in zip(samples, labels, strict=True)
    ]
    names = " and ".join(f"{letter} = {side.name}" for letter, side in zip("AB", pairing.sides, strict=True))
    figure = discordant(images, captions, f"{pairing.suite.name}:{score}, on which {names} differ")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, written(figure, "png" if path.suffix == ".png" else "pdf"))


def _taken(side: Side, pairing: Pairing, score: str) -> dict[int, int]:
    """What a side took each image for: by the first probe of the score that fooled it, else its label."""
    spec = next(each for each in pairing.suite.scores if each.name == score)
    taken: dict[int, int] = {}
    for outcomes in (found for name in reversed(spec.of) if (found := side.run.outcomes(name)) is not None):
        for sample, label, pred in zip(outcomes.sample, outcomes.label, outcomes.pred, strict=True):
            if pred != label or int(sample) not in taken:
                taken[int(sample)] = int(pred)
    return taken
