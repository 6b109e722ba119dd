"""Models of other collections by name, such as `timm:resnet18`: what a name asks for becomes the `Call` that builds it.

A collection is one file here with two functions. `call(name, choice, suite)` reads what stands after the colon, with
what stands after an @, and says what to build; `build(...)` makes it, in every process that works. Nothing is imported,
and nothing is fetched, unless it is asked for.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec

from rbench.errors import MissingError, ModelError, UsageError, unknown
from rbench.sources import dataset_of
from rbench.types import Call, Suite

HUBS = {name: f"rbench.hubs.{name}" for name in ("robustbench", "timm", "torchvision", "hf")}
RANDOM = "random"
BARE = ("timm:", "torchvision:")  # they build untrained models, too


def call_of(model: str, suite: Suite | None) -> Call | None:
    """The call that builds the model of a collection, None for a name that is a pointer to code.

    Raises `UsageError` for a name that the collection has not, and for a collection that is misspelt.
    """
    hub, _, rest = model.partition(":")
    if hub not in HUBS:
        if hub.isidentifier() and get_close_matches(hub, HUBS) and find_spec(hub) is None:
            raise unknown("collection of models", hub, HUBS)
        return None
    name, _, choice = rest.partition("@")
    if not name:
        raise UsageError(f"{model!r} names no model; write {hub}:NAME.")
    call: Call = import_module(HUBS[hub]).call(name, choice, suite)
    return call


def folder_name(model: str) -> str:
    """A name of a collection as that of a folder: `hf:owner/net@main` is `hf-owner-net-main`."""
    return re.sub(r"[^\w.]+", "-", model)


def fit(model: str, suite: Suite | None, classes: int | None, dataset: str | None = None) -> None:
    """Raise an `RbenchError` with the remedy unless a model is of a suite's dataset, and tells its classes apart.

    What is None is not known, and left to the first look at the model's logits.
    """
    if suite is None:
        return
    if dataset not in (None, suite.dataset):
        raise UsageError(f"model {model!r} classifies {dataset!r}, suite {suite.name!r} holds {suite.dataset!r}.")
    wanted = dataset_of(suite).classes
    if classes not in (None, wanted):
        bare = f", or {model.partition('@')[0]}@{RANDOM}, untrained" if model.startswith(BARE) else ""
        raise ModelError(
            f"{model} tells {classes:,} classes apart, {suite.dataset!r} of suite {suite.name!r} has {wanted:,}. Name "
            f"weights of these classes, a suite of the model's own dataset (rbench ls suites){bare}."
        )


def classes_of(suite: Suite | None, usual: int) -> int:
    """How many classes untrained weights get: those of the suite's dataset, else the usual ones."""
    return usual if suite is None else dataset_of(suite).classes


def require(package: str, extra: str) -> None:
    """Raise `MissingError` with the remedy unless a package is installed."""
    if find_spec(package) is None:
        raise MissingError(f"the package {package!r} is not installed; run: pip install 'rbench[{extra}]'")


def no_model(name: str, known: Iterable[str], where: str, remedy: str) -> UsageError:
    """The error for a name that a collection has not: its nearest match, and what else to do."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"no model named {name!r} in {where}.{meant} {remedy}")
