"""Trainings that start from the weights of other models, and that train only a part of a network."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.models.load import fill, read_weights
from rbench.models.splits import split
from rbench.recipe import Recipe
from rbench.training.state import Weights
from rbench.types import ModelCard


@dataclass(frozen=True)
class Origin:
    """The weights of a model to start from: their file, its sha256 by the lock (None if not listed), how to get it."""

    model: str
    file: Path
    digest: str | None
    remedy: str


def origins(catalog: Catalog, card: ModelCard, recipe: Recipe) -> tuple[Origin, ...]:
    """The weights that a recipe starts from, whether or not they exist; none if it starts from random ones.

    Raises `UsageError` if they are those of another network, or for another dataset.
    """
    if recipe.start is None:
        return ()
    found = []
    for name in recipe.start.models:
        parent = catalog.model(name)
        where = f"recipe {recipe.name!r} starts {card.name!r} from {name!r}"
        if name == card.name:
            raise UsageError(f"{where}, which is itself; name another model in [start].")
        for what, own, theirs in (("network", card.arch, parent.arch), ("dataset", card.dataset, parent.dataset)):
            if own != theirs:
                raise UsageError(
                    f"{where}, which is of another {what}: {theirs}, not {own}. Name models of the same network."
                )
        file, digest = catalog.weights(parent)
        found.append(Origin(name, file, digest, parent.remedy))
    return tuple(found)


def digests(start: Sequence[Origin]) -> dict[str, str]:
    """The sha256 of weights to start from, by model; raises `MissingError` for what is not there yet."""
    found = {}
    for origin in start:
        if origin.digest is None or not origin.file.is_file():
            raise MissingError(f"the weights of {origin.model!r} do not exist yet ({origin.file}): {origin.remedy}")
        found[origin.model] = origin.digest
    return found


def found_for(recipe: Recipe, start: Sequence[Origin]) -> list[Weights]:
    """The weights that a recipe starts from, checked against their sha256.

    Raises `UsageError` unless `start` are those that it names, and `MissingError` for what is missing or damaged.
    """
    asked = () if recipe.start is None else recipe.start.models
    if asked != (given := tuple(origin.model for origin in start)):
        raise UsageError(f"recipe {recipe.name!r} starts from the weights of {list(asked)}, given are {list(given)}.")
    known = digests(start)
    return [read_weights(origin.file, known[origin.model]) for origin in start]


def begin(model: nn.Module, recipe: Recipe, start: Sequence[Weights], x: Tensor) -> None:
    """Fill a network with the weights that it starts from, if any, and let only the part learn that is to.

    Images x [B, C, H, W] show in which order its layers run. Raises `UsageError` for a split out of range, and
    `MissingError` for weights of another network.
    """
    parts = None if recipe.parts is None else split(model, x, recipe.parts.f_b)
    for name, weights in zip(recipe.start.models if recipe.start and start else (), start, strict=True):
        fill(model, weights, Path(name))
    if parts is None or recipe.parts is None:
        return
    if len(start) > 1:  # the last one has filled all
        model.load_state_dict({name: start[0][name] for name in parts.f_a}, strict=False)
    kept = {"f_a": parts.f_b, "f_b": parts.f_a, "both": ()}[recipe.parts.trained]
    freeze(model, kept, batch=recipe.parts.norms == "batch")


def freeze(model: nn.Module, names: Collection[str], *, batch: bool) -> None:
    """Keep parameters and buffers as they are, by name, whatever mode the network is in.

    Batch norms that are kept normalise by what they remember or, with `batch`, in training by the batch.
    """
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad = False
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and f"{name}.running_mean" in names:
            module.track_running_stats = False
            if not batch:
                module.register_forward_pre_hook(_settle)


def _settle(module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
    """Back to evaluation mode, right before it counts: a step puts the whole network in training mode."""
    module.eval()
