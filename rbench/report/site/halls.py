"""The gallery of a run as a page shows it: what the samples of each probe say, and what is amiss with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rbench.report.site.exhibits import Example, Gallery, Series
from rbench.report.site.pictures import Tile, factor_of, largest, tiles


@dataclass(frozen=True)
class Card:
    """One sample: its pictures in a row and what happened to it; `warning` if the run says something else."""

    title: str
    line: str
    tiles: tuple[Tile, ...]
    warning: str = ""


@dataclass(frozen=True)
class Wing:
    """The cards of an attack, or of all corruptions; `notes` are about them, `warnings` about what is amiss."""

    title: str
    cards: tuple[Card, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def large(self) -> bool:
        """Whether its pictures need no magnification."""
        return any(not tile.magnified for card in self.cards for tile in card.tiles)


@dataclass(frozen=True)
class Hall:
    """All wings; or the `reason` why there are no images."""

    wings: tuple[Wing, ...]
    reason: str

    @property
    def tiles(self) -> Iterator[Tile]:
        """All pictures."""
        return (tile for wing in self.wings for card in wing.cards for tile in card.tiles)


def hall(gallery: Gallery, norm: str) -> Hall | None:
    """A gallery as a page shows it: a wing an attack and one for all corruptions; None if no probe has any.

    Distances are in `norm`.
    """
    wings = tuple(_attack(series, norm) for series in gallery.series if not series.choice.corruption)
    corruptions = [series for series in gallery.series if series.choice.corruption]
    wings += (_corruptions(corruptions),) if corruptions else ()
    return Hall(wings, gallery.reason) if wings else None


def _attack(series: Series, norm: str) -> Wing:
    choice, examples, name = series.choice, series.examples, series.choice.probe.name
    factor = factor_of(max(map(largest, examples), default=0.0))
    cards = []
    for example in examples:
        now, then = example.now, example.then
        line = f"{norm} distance {now.distance:.4g}, margin {now.margin:.3g}"
        pictures = tiles(example, name, name, factor, f", {norm} distance {now.distance:.4g}")
        doubt = _doubt(example, f", distance {then.distance:.4g}")
        cards.append(Card(_title(example).capitalize(), line, pictures, doubt))
    title = f"{name} fools {choice.wrong} of the {choice.right} samples that the model gets right"
    return Wing(title, tuple(cards), _repeated(examples, "class, margin and distance"), _amiss(series))


def _corruptions(some: Sequence[Series]) -> Wing:
    examples = [example for series in some for example in series.examples]
    unbroken = [series.choice for series in some if not series.choice.wrong]
    notes = (f"{c.probe.name} breaks none of the {c.right} samples that are right when clean." for c in unbroken)
    return Wing(
        f"{len(some) - len(unbroken)} of {len(some)} corruptions break a sample",
        tuple(_corruption(series, example) for series in some for example in series.examples),
        (*_repeated(examples, "class and margin"), *notes),
        tuple(line for series in some for line in _amiss(series)),
    )


def _corruption(series: Series, example: Example) -> Card:
    choice, name = series.choice, f"{series.choice.probe.name}, severity {example.severity}"
    counts = f"some severity breaks {choice.wrong} of the {choice.right} samples that are right when clean"
    pictures = tiles(example, f"severity {example.severity}", name, factor_of(largest(example)))
    return Card(
        f"{name}: {_title(example)}", f"margin {example.now.margin:.3g}; {counts}", pictures, _doubt(example, "")
    )


def _title(example: Example) -> str:
    fate = "withstood" if example.now.pred == example.label else f"taken for {example.now.pred}"
    return f"sample {example.sample}, class {example.label}, {fate}"


def _doubt(example: Example, distance: str) -> str:
    """What the run says, if it says something else."""
    then = example.then
    return "" if example.repeated else f"The run has: predicted {then.pred}, margin {then.margin:.3g}{distance}."


def _repeated(examples: Sequence[Example], what: str) -> tuple[str, ...]:
    """How many images are what the run had, where there are any."""
    kept = sum(example.repeated for example in examples)
    return (f"{kept} of {len(examples)} images made anew have the {what} of the run, to rounding.",) if examples else ()


def _amiss(series: Series) -> tuple[str, ...]:
    """Why a probe has no images, or that some are not what the run had."""
    name = series.choice.probe.name
    if series.reason:
        return (f"No images of {name}: {series.reason}",)
    other = [str(example.sample) for example in series.examples if not example.repeated]
    return (f"{name} made anew has another outcome than the run has of sample {', '.join(other)}.",) if other else ()
