"""The state of a training between epochs: enough to go on with bit-identical results."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rbench.errors import StoreError
from rbench.files import write_atomically
from rbench.recipe import Recipe
from rbench.types import ModelCard

Weights = dict[str, Tensor]


def manifest(card: ModelCard, recipe: Recipe, seed: int, data_digest: str) -> dict[str, str]:
    """What a training folder belongs to: everything that may move its weights."""
    spec = {"architecture": asdict(card.arch), **asdict(recipe), "seed": seed, "images": data_digest}
    return {key: json.dumps(value, sort_keys=True) for key, value in spec.items()}


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state so that an interruption at any point leaves the previous one or this one."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, expected: Mapping[str, str], device: torch.device) -> dict[str, Any] | None:
    """The state in a file, None if there is no file; raises `StoreError` if it belongs to another training."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        found = state["manifest"]
    except Exception as error:  # whatever torch makes of a damaged file
        raise StoreError(f"{path} is no training state ({type(error).__name__}); delete it to start anew.") from error
    for key in expected:
        if found.get(key) != expected[key]:
            raise StoreError(
                f"{path} belongs to another training: {key} was {found.get(key)}, now {expected[key]}. "
                f"Choose another folder with --out, or delete this one."
            )
    return state


def copied(weights: Mapping[str, Tensor]) -> Weights:
    """A copy that later training steps leave alone."""
    return {key: value.detach().clone() for key, value in weights.items()}
