"""`robustbench:NAME[@DATASET/THREAT]`: a model of RobustBench's zoo, read by its own package.

Its wheel 1.1.1 imports a module `autoattack` that no registry has: pyautoattack is the same code, and stands in for it
while the package is imported. The wheel of torchattacks overwrites files of it, so that they are compared with the
digests that its own installation recorded. Weights lie where the package puts them, models/DATASET/THREAT/NAME.pt,
below the working directory or $RBENCH_MODELS.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from rbench.data.official import download_wanted
from rbench.errors import MissingError, RbenchError, UsageError
from rbench.hubs import fit, no_model, require
from rbench.hubs.files import reason, told, unfetched, version
from rbench.hubs.installed import own_files
from rbench.hubs.wrapping import Wrapped
from rbench.types import Call, Suite

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
THREATS = {"linf": "Linf", "l2": "L2"}
Place = tuple[str, str]  # a dataset and a threat, as ("cifar10", "Linf")


def call(name: str, choice: str, suite: Suite | None) -> Call:
    """What a name asks for: of the dataset and threat given, else of those of the suite where it has several."""
    zoo = _zoo()
    listed = ", ".join("/".join(place) for place in zoo)
    wanted = [place for place in zoo if choice in ("", "/".join(place))]
    if not wanted:
        raise UsageError(f"robustbench has no {choice!r}; it has {listed}.")
    places = [place for place in wanted if name in zoo[place]]
    if not places:
        elsewhere = ["/".join(place) for place in zoo if name in zoo[place]]
        remedy = f"It is in {', '.join(elsewhere)}." if elsewhere else f"It has the leaderboards {listed}."
        known = {each for place in wanted for each in zoo[place]}
        raise no_model(name, known, f"robustbench {choice}".rstrip(), remedy)
    dataset, threat = _meant(name, places, suite)
    fit(f"robustbench:{name}@{dataset}/{threat}", suite, CLASSES[dataset], dataset)
    return Call("rbench.hubs.robustbench:build", {"name": name, "dataset": dataset, "threat": threat})


def _meant(name: str, places: list[Place], suite: Suite | None) -> Place:
    """The one place that is meant of several: that of the suite's dataset, and of its threat."""
    if suite is not None:
        norm = THREATS[suite.threat.norm] if suite.threat is not None else "corruptions"
        places = [place for place in places if place[0] == suite.dataset] or places
        places = [place for place in places if place[1] == norm] or places
    if len(places) > 1:
        ways = " or ".join(f"robustbench:{name}@{'/'.join(place)}" for place in places)
        raise UsageError(f"robustbench has several models called {name!r}; write {ways}.")
    return places[0]


def build(name: str, dataset: str, threat: str) -> nn.Module:
    """The model with its weights, normalisation inside; raises `MissingError` for weights that are not there."""
    entry = _zoo()[dataset, threat][name]
    model, place = f"robustbench:{name}@{dataset}/{threat}", (dataset, threat)
    folder = Path(os.environ.get("RBENCH_MODELS", "models"))
    files = [folder / dataset / threat / file for file in _files(name, place, entry)]
    missing = [path for path in files if not path.is_file()]
    if missing and not download_wanted():
        raise MissingError(
            f"the weights of {model} are not here; add --download, or put {missing[0].name} from RobustBench's model "
            f"zoo at {missing[0].resolve()} ($RBENCH_MODELS names another folder than models)."
        )
    for path in files:
        if path.is_file():
            told(path)  # a web page must not be unpickled
    net = _loaded(name, place, folder, model)
    provenance = {
        "package": f"{version('robustbench')}, {version('timm')}",
        "weights": f"{name}@{dataset}/{threat}",
        "files": {path.name: told(path)["sha256"] for path in files},
    }
    return Wrapped(net, {**provenance, "classes": CLASSES[dataset]})


def _files(name: str, place: Place, entry: Mapping[str, Any]) -> list[str]:
    """The files of an entry of the zoo: one, or one for each member of an ensemble; none where torch's cache has it."""
    import timm

    if timm.is_model(f"{name.lower().replace('-', '_')}_{place[0]}_{place[1].lower()}"):
        return []
    if isinstance(entry["gdrive_id"], list):
        return [f"{name}.pt_m{number}.pt" for number in range(len(entry["gdrive_id"]))]
    return [] if place[0] == "imagenet" and "Standard" in name else [f"{name}.pt"]


def _loaded(name: str, place: Place, folder: Path, model: str) -> nn.Module:
    """The model by the package's own loader, which prints on stdout and would fetch what is not there."""
    try:
        with _quiet(), unfetched(model):
            net: nn.Module = import_module("robustbench.utils").load_model(name, str(folder), *place)
    except RbenchError:
        raise
    except Exception as error:
        asked = ", ".join(each for each in metadata.requires("robustbench") or () if each.startswith("timm"))
        raise MissingError(
            f"{model} cannot be read from {folder.resolve()} by {version('robustbench')} and {version('timm')}: "
            f"{reason(error)}. Fetch the file again, or install what robustbench asks for ({asked})."
        ) from error
    return net


def _zoo() -> dict[Place, Mapping[str, Any]]:
    """The entries of every leaderboard of the package; raises `MissingError` if it is not there, or not its own."""
    require("robustbench", "robustbench")
    own_files("robustbench", "torchattacks", "robustbench")
    try:
        with _quiet(), _autoattack():
            zoo = import_module("robustbench.model_zoo").model_dicts
    except ImportError as error:
        raise MissingError(
            f"{version('robustbench')} cannot be imported ({reason(error)}); run: pip install 'rbench[robustbench]'"
        ) from error
    return {(dataset.value, threat.value): models for dataset, every in zoo.items() for threat, models in every.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither the package's prints, which go to stderr, nor the warnings of what it imports."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _autoattack() -> Iterator[None]:
    """Let `import autoattack` find pyautoattack, unless the authors' own package is installed."""
    if "robustbench" in sys.modules or find_spec("autoattack") is not None:
        yield
        return
    require("pyautoattack", "robustbench")
    sys.modules["autoattack"] = import_module("pyautoattack")
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "autoattack"]:
            del sys.modules[name]
