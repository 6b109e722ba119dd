"""Several weights of one network as one model of an analysis, along an axis: its epochs, or values of a recipe."""

import glob
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import NamedTuple

from rbench.errors import MissingError, UsageError

DRAWN = ("dependence",)  # the analyses that have a figure along an axis


class Point(NamedTuple):
    """A model as "name" or "name@file", and the labels of its rows."""

    file: str
    labels: Mapping[str, str | float]


SUFFIX = ".safetensors"  # no part of what a star at the end stands for


def expanded(model: str) -> list[Point]:
    """A model, or all of "name@pattern", in the order of what the star stands for: numbers if all are, else words.

    Raises `UsageError` for several stars and `MissingError` for a pattern that no file matches.
    """
    name, at, pattern = model.partition("@")
    if not at or "*" not in pattern:
        return [Point(model, {"model": model})]
    head, star, tail = pattern.partition("*")
    if "*" in tail:
        raise UsageError(f"{model!r} has several stars; one of them is the axis. Name the others.")
    files = glob.glob(glob.escape(head) + star + glob.escape(tail))  # noqa: PTH207 - Path knows no escaped patterns
    if not files:
        raise MissingError(f"no checkpoint matches {pattern}.")
    words = {file[len(head) : len(file) - len(tail)].removesuffix(SUFFIX): file for file in files}
    places: dict[str, str | float] = {word: word for word in sorted(words)}
    with suppress(ValueError):
        places = dict(sorted(((word, float(word)) for word in words), key=lambda item: item[1]))
    return [Point(f"{name}@{words[word]}", {"model": model, "at": place}) for word, place in places.items()]


def told(models: Sequence[str]) -> list[str]:
    """What models are called where room is short: of "name@file" the end of the path that tells it from the others."""
    parts = [model.partition("@") for model in models]
    places = [PurePath(file.removesuffix(SUFFIX)).parts for _, _, file in parts]
    named = zip(parts, places, strict=True)
    return [f"{name}@{_end(place, places)}" if place else name for (name, _, _), place in named]


def _end(place: tuple[str, ...], places: Sequence[tuple[str, ...]]) -> PurePath:
    """The fewest parts at the end of a path that no other path ends in."""
    others = [other for other in places if other != place]
    depths = range(1, len(place))
    alone = (depth for depth in depths if all(other[-depth:] != place[-depth:] for other in others))
    return PurePath(*place[-next(alone, len(place)) :])


def axis_of(analysis: str, models: Sequence[str]) -> str | None:
    """What the axis of models with a star is called, None without one: by "key=*" the key, by "folder/*" the folder.

    Raises `UsageError` for an analysis that draws none, and for models with and without a star together.
    """
    starred = [model for model in models if "*" in model.partition("@")[2]]
    if not starred:
        return None
    if analysis not in DRAWN:
        raise UsageError(f"analysis {analysis!r} has no figure along an axis; name files, not {starred[0]!r}.")
    if len(starred) < len(models):
        other = next(model for model in models if model not in starred)
        raise UsageError(f"{starred[0]!r} stands along an axis, {other!r} does not; analyse them one by one.")
    parts = PurePath(starred[0].partition("@")[2]).parts
    place = next(index for index, part in enumerate(parts) if "*" in part)
    key = parts[place].partition("*")[0].rstrip("=")
    return key or (parts[place - 1] if place else "file")
