"""The state of a training: enough to go on with bit-identical results."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rbench.errors import StoreError
from rbench.files import write_atomically
from rbench.recipe import Recipe
from rbench.types import ModelCard

Weights = dict[str, Tensor]
NOTHING: Mapping[str, str] = MappingProxyType({})


def manifest(
    card: ModelCard,
    recipe: Recipe,
    seed: int,
    data_digest: str,
    teachers: Mapping[str, str] = NOTHING,
    started: Mapping[str, str] = NOTHING,
    until: Mapping[str, str] = NOTHING,
) -> dict[str, str]:
    """What a training folder belongs to: everything that may move its weights, but for defaults of the recipe.

    `teachers` are the digests of those who teach, if any, by their name or file, `started` those of the weights that it
    starts from, by model, and `until` that of the model that ends it.

    So a training may go on although recipes have learnt new words meanwhile. Into how many parts batches are split is
    not among it: a training may go on with another number of ranks.
    """
    parts = {key: value for key, value in _said(recipe).items() if key not in ("name", "presets")}
    spec = {"architecture": _said(card.arch), **parts, "seed": seed, "images": data_digest}
    spec |= {"teachers": dict(teachers)} if teachers else {}
    spec |= {"start weights": dict(started)} if started else {}
    spec |= {"until weights": dict(until)} if until else {}
    return {key: json.dumps(value, sort_keys=True) for key, value in spec.items()}


def _said(part: Any) -> Any:
    """What a part of a recipe says beyond its defaults, as plain values."""
    if not is_dataclass(part):
        return dict(part) if isinstance(part, Mapping) else part
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    unsaid = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(part)}
    return {key: _said(value) for key, value in values.items() if value != unsaid[key]}


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state so that an interruption at any point leaves the previous one or this one.

    Raises `StoreError` if the disk is full.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write(path, buffer.getvalue())


def write(path: Path, content: bytes) -> None:
    """Write a file of a training whole or not at all; raises `StoreError` if it cannot be written."""
    try:
        write_atomically(path, content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreError(
            f"cannot write {path} ({reason}); what was saved before is intact. Mend that, and the same command goes on."
        ) from error


def load(path: Path, expected: Mapping[str, str]) -> dict[str, Any] | None:
    """The state in a file, on the CPU; None if there is no file.

    Raises `StoreError` if it belongs to another training.
    """
    state = read(path)
    if state is None:
        return None
    found = state["manifest"]
    for key in sorted(expected.keys() | found.keys()):
        was, now = found.get(key, "its default"), expected.get(key, "its default")
        if was != now:
            raise StoreError(
                f"{path} belongs to another training: {key} was {was}, now {now}. "
                f"Choose another folder with --out, or delete this one."
            )
    return state


def read(path: Path) -> dict[str, Any] | None:
    """The state in a file, of whatever training, on the CPU; None if there is no file.

    Raises `StoreError` for a file that holds none.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {**state, "manifest": state["manifest"]}
    except Exception as error:  # whatever torch makes of a damaged file
        raise StoreError(f"{path} is no training state ({type(error).__name__}); delete it to start anew.") from error
