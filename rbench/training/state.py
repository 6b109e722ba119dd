"""The state of a training: enough to go on with bit-identical results."""

import io
import json
import os
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
    """What a training folder belongs to: everything that may move its weights.

    Not among it is into how many parts batches are split: a training may go on with another number of ranks.
    """
    parts = {key: value for key, value in asdict(recipe).items() if key not in ("name", "presets")}
    spec = {"architecture": asdict(card.arch), **parts, "seed": seed, "images": data_digest}
    return {key: json.dumps(value, sort_keys=True) for key, value in spec.items()}


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
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
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
