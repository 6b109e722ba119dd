"""Do figures, studies, searches and gates name what there is? Their files are read, and whatever they name is found."""

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

from rbench.candidates import Search
from rbench.catalog import SINGULAR, Catalog, Kind, bind, resolve
from rbench.errors import UsageError, unknown
from rbench.figures import GIVEN, FigureSpec
from rbench.gates import Gate
from rbench.places import score_of
from rbench.recipe import Recipe
from rbench.trials import Study


def figures(catalog: Catalog) -> Iterator[str]:
    """Bind every figure of the shelf; raises `UsageError` with the file of one that names what is not there."""
    return _each(catalog, "figures", _figure)


def studies(catalog: Catalog) -> Iterator[str]:
    """Find the models, recipes and probes of every study; raises `UsageError` with the file of a wrong one."""
    return _each(catalog, "studies", _study)


def searches(catalog: Catalog) -> Iterator[str]:
    """Find the supernet and the recipe of every search; raises `UsageError` with the file of a wrong one."""
    return _each(catalog, "searches", _search)


def gates(catalog: Catalog) -> Iterator[str]:
    """Find the model, suite and scores of every gate; raises `UsageError` with the file of a wrong one."""
    return _each(catalog, "gates", _gate)


def _each(catalog: Catalog, kind: Kind, find: Callable[[Catalog, Any], None]) -> Iterator[str]:
    for name, file in catalog.files(kind).items():
        try:
            find(catalog, catalog.load(kind, name))
        except UsageError as error:
            said = str(error)
            raise UsageError(said if str(file) in said else f"{file}: {said}") from error
        yield f"{SINGULAR[kind]} {name}"


def _figure(catalog: Catalog, spec: FigureSpec) -> None:
    bind(spec.draw, [name for name in GIVEN if name in signature(resolve(spec.draw.use)).parameters])
    for model in spec.draw.args.get("models", ()):
        catalog.model(model.partition("@")[0])
    scores = [spec.draw.args[key] for key in ("x", "y") if key in spec.draw.args]
    for suite in (*scores, *spec.draw.args.get("scores", ()), *filter(None, [spec.draw.args.get("suite")])):
        name, _, score = suite.partition(":")
        found = catalog.suite(name)
        if score:
            score_of(found, score, suite)


def _study(catalog: Catalog, spec: Study) -> None:
    probes = [probe.name for probe in catalog.suite(spec.suite).probes]
    for name in spec.probes:
        if name not in probes:
            raise unknown("probe", name, probes, f"suite {spec.suite!r}")
    for arm in spec.every:
        _recipe(catalog, arm.model, preset=arm.preset, override=arm.override)


def _search(catalog: Catalog, spec: Search) -> None:
    _recipe(catalog, spec.supernet)
    catalog.recipe(spec.recipe)


def _gate(catalog: Catalog, spec: Gate) -> None:
    catalog.model(spec.model)
    suite = catalog.suite(spec.suite)
    for score in spec.scores:
        score_of(suite, score.name, spec.suite)


def _recipe(catalog: Catalog, model: str, **changes: Any) -> Recipe:
    card = catalog.model(model)
    if card.recipe is None:
        raise UsageError(f"model {model!r} has no recipe; name a model whose card has one.")
    return catalog.recipe(card.recipe, **changes)
