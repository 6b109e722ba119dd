"""What fills the cells of a table: which score of which model, and what a paper prints there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from rbench.catalog import Catalog
from rbench.errors import UsageError, unknown
from rbench.pages import Printed
from rbench.published import Source, sources
from rbench.tables import TableColumn, TableSpec
from rbench.types import ModelCard, ScoreSpec, Suite

DIRECTIONS = {"higher": True, "lower": False, "none": None}


@dataclass(frozen=True)
class Place:
    """What fills a cell: a score of a suite, asked of a model, or its complement; and what a paper prints there."""

    suite: str = ""
    score: str = ""
    model: str = ""
    complement: bool = False
    printed: Printed | None = None


def placed(catalog: Catalog, spec: TableSpec) -> dict[tuple[str, str], Place]:
    """What fills each cell of a table, by the keys of its row and column.

    Raises `UsageError` for anything that the table names and that is not there, with its file and the nearest match.
    """
    file = str(catalog.files("tables").get(spec.name, f"table {spec.name!r}"))
    numbers = sources(catalog.published(spec.published, file), spec, file) if spec.published else {}
    suite_of, card_of = cache(catalog.suite), cache(catalog.model)
    suites, models = catalog.files("suites"), catalog.files("models")
    found = {}
    for line in spec.lines:
        for head in spec.heads:
            number = numbers.get((line.key, head.key), Source(None))
            model, score = line.model or number.card, head.score or number.score
            if not (model and score):
                found[line.key, head.key] = Place(printed=number.printed)
                continue
            suite, _, name = score.partition(":")
            _known("suite", suite, suites, f"{file}: column {head.key!r}")
            _known("model", model, models, f"{file}: row {line.key!r}")
            spec_of_score = score_of(suite_of(suite), name, f"{file}: {score!r}")
            _check(head, spec_of_score, number, file)
            card = card_of(model)
            printed = number.printed or _reported(card, score)
            found[line.key, head.key] = Place(suite, name, model, number.complement, printed)
    return found


def runs_of(places: Mapping[tuple[str, str], Place]) -> tuple[tuple[str, str], ...]:
    """The runs that cells come from: suite and model, each pair once."""
    return tuple(dict.fromkeys((place.suite, place.model) for place in places.values() if place.suite))


def score_of(suite: Suite, name: str, place: str) -> ScoreSpec:
    """A score of a suite by its name; raises `UsageError` if it has none of that name."""
    score = next((score for score in suite.scores if score.name == name), None)
    if score is None:
        raise unknown("score", name, [score.name for score in suite.scores], place)
    return score


def _known(kind: str, name: str, names: Collection[str], place: str) -> None:
    if name not in names:
        raise unknown(kind, name, names, place)


def _check(head: TableColumn, score: ScoreSpec, number: Source, file: str) -> None:
    """A column must rank the way its scores do; columns of scores alone take the direction of the score."""
    if not head.score and DIRECTIONS[head.better] != (score.higher_is_better != number.complement):
        way = "lower" if score.higher_is_better == number.complement else "higher"
        raise UsageError(f"{file}: column {head.key!r}: better = {head.better!r}, but its score says {way!r}.")


def _reported(card: ModelCard, score: str) -> Printed | None:
    """What a model's card says that its paper prints of a score."""
    for number in card.reported:
        if f"{number.suite}:{number.score}" == score:
            return Printed(f"{number.value:.2f}", source=number.source)
    return None
