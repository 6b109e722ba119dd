"""One candidate of an architecture search: what it inherits, its fine-tuning, and how it stands attacks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import safetensors.torch

from rbench.attacks.pgd import pgd
from rbench.candidates import Candidate
from rbench.catalog import Catalog
from rbench.errors import StoreError, UsageError
from rbench.files import sha256
from rbench.models.fsp import fsp_distances
from rbench.models.genotypes import codes_of
from rbench.models.load import load_model, read_weights
from rbench.models.robnet import RobNet
from rbench.models.supernet import inherited
from rbench.recipe import Recipe
from rbench.rng import Draws
from rbench.training.batches import fetch
from rbench.training.loop import threads, train
from rbench.training.modes import untracked
from rbench.training.ranks import chosen
from rbench.training.setting import held_out_of
from rbench.training.start import Origin
from rbench.training.state import write
from rbench.types import Call, ModelCard

ARCH = "rbench.models.robnet:robnet"
SUPERNET = "rbench.models.supernet:supernet"
RESULT, START = "result.json", "start.safetensors"


@dataclass(frozen=True)
class Space:
    """What all candidates of a search share: the card and weights of the supernet, the recipe, and the folder."""

    catalog: Catalog
    card: ModelCard
    weights: Path
    recipe: Recipe
    folder: Path
    device: str | None = None

    def __post_init__(self) -> None:
        if self.card.arch.use != SUPERNET:
            raise UsageError(f"{self.card.name!r} is no supernet: its arch must be {SUPERNET}.")
        if self.recipe.start is None or self.recipe.start.models != (self.card.name,):
            raise UsageError(f"recipe {self.recipe.name!r} must start from {self.card.name!r}: name it in [start].")

    @property
    def rows(self) -> int:
        """How many cells differ: one, or all."""
        return 1 if self.card.arch.args.get("shared", True) else int(self.card.arch.args["layers"])

    def arch(self, candidate: Candidate) -> Call:
        """The architecture of a candidate, as cards spell it."""
        shape = {key: value for key, value in self.card.arch.args.items() if key not in ("shared", "drop")}
        return Call(ARCH, {"cells": list(candidate.cells), **shape})

    def place(self, candidate: Candidate) -> Path:
        """The folder of a candidate."""
        return self.folder / f"{candidate.index:04d}"


def begin(space: Space, candidate: Candidate) -> Mapping[str, Any]:
    """Write what a candidate inherits, once; returns its parameters and FSP distances before any fine-tuning.

    These are of PGD by the recipe's selection on the held-out images; norms go by the batch, since they
    have seen nothing yet.
    """
    place = space.place(candidate)
    place.mkdir(parents=True, exist_ok=True)
    kept = _kept(place / "begun.json")
    if kept is not None:
        return kept
    with threads(space.recipe.threads):
        codes = codes_of(list(candidate.cells), int(space.card.arch.args["layers"]))
        model = cast("RobNet", load_model(_card(space, candidate), None))
        weights = inherited(read_weights(space.weights), model, codes)
        write(place / START, safetensors.torch.save({key: value.contiguous() for key, value in weights.items()}))
        model.load_state_dict(weights)
        found = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "fsp_before": _distances(space, model, training=True),
        }
    write(place / "begun.json", json.dumps(found).encode())
    return found


def finish(space: Space, candidate: Candidate) -> Mapping[str, Any]:
    """Fine-tune a candidate from what it inherits and measure it, unless that is done; returns all that is known of it.

    Accuracies are those of its best epoch on the held-out images, clean and under the PGD of the recipe's selection.
    """
    place = space.place(candidate)
    kept = _kept(place / RESULT)
    if kept is not None:
        return kept
    begun = begin(space, candidate)
    start = (Origin(space.card.name, place / START, sha256(place / START), f"delete {place}, and search again"),)
    result = train(
        _card(space, candidate), space.recipe, out=place, start=start, device=space.device,
        catalog=space.catalog, progress=False,
    )  # fmt: skip
    with threads(space.recipe.threads):
        model = cast("RobNet", load_model(_card(space, candidate), result.weights))
        after = _distances(space, model, training=False)
    accuracy = {"clean": result.best.clean, "robust": result.best.robust, "epoch": result.best.epoch}
    found = {**begun, **accuracy, "fsp_after": after, "seconds": sum(row.seconds for row in result.rows)}
    write(place / RESULT, json.dumps(found).encode())
    return found


def _card(space: Space, candidate: Candidate) -> ModelCard:
    return replace(space.card, name=f"candidate {candidate.index}", arch=space.arch(candidate))


def _distances(space: Space, model: RobNet, *, training: bool) -> list[float]:
    """The FSP distances of all cells between the held-out images and their adversarial ones."""
    selection, device = space.recipe.selection, chosen(space.device)
    if selection.threat is None:
        raise UsageError(f"recipe {space.recipe.name!r}: a search attacks its candidates; give selection.threat.")
    data, ids = held_out_of(space.recipe)
    x, y, samples, _ = fetch(data, ids).to(device)
    rng = Draws(0, "train/selection", samples)
    with untracked(model.to(device), training=training):
        x_adv = pgd(
            model, x, y, selection.threat, rng=rng, steps=selection.steps, rel_step=selection.rel_step, stop=False
        )
        return fsp_distances(model, x, x_adv)


def _kept(path: Path) -> Mapping[str, Any] | None:
    """What an earlier call found, None if there was none."""
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise StoreError(f"{path} cannot be read ({error}); delete it, and search again.") from error
