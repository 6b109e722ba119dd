"""Cards to models: builds the architecture and fills it with weights that were checked before they were read."""

import hashlib
import inspect
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType

import torch
from torch import Tensor, nn

from rbench.catalog import bind
from rbench.errors import MissingError, ModelError, RbenchError
from rbench.types import ModelCard

ADDRESS = re.compile(r"0x[0-9a-f]+")  # where an object lies in memory, which is another place in every process


def load_model(card: ModelCard, weights: Path | None, expected: str | None = None) -> nn.Module:
    """The model of a card in eval mode, with the weights in a file, if one is given, whose sha256 must be `expected`.

    Raises `MissingError` if the file is missing, no checkpoint, damaged or made for another architecture, and
    `ModelError` if the architecture cannot be built, unless it says itself what is wrong.
    """
    build = bind(card.arch)
    try:
        model = build()
    except RbenchError:
        raise
    except Exception as error:
        raise ModelError(f"{card.arch.use} cannot build {card.name!r}: {type(error).__name__}: {error}.") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{card.arch.use} returned {type(model).__name__}, not an nn.Module.")
    if weights is not None:
        fill(model, read_weights(weights, expected), weights)
    return model.eval()


def fill(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Copy weights into a model; every key and every shape must match."""
    own = model.state_dict()
    for what, keys in (("lacks", own.keys() - state.keys()), ("has the unknown", state.keys() - own.keys())):
        if keys:
            raise MissingError(
                f"{source} {what} key {min(keys)!r} ({len(keys)} in all); it was made for another model."
            )
    for key, value in own.items():
        if value.shape != state[key].shape:
            shapes = f"{list(state[key].shape)}, not {list(value.shape)}"
            raise MissingError(f"{source}: {key!r} has shape {shapes}; it was made for another model.")
    model.load_state_dict(state)


def read_weights(path: Path, expected: str | None = None) -> dict[str, Tensor]:
    """The tensors of a checkpoint: safetensors, or a pickle read with `weights_only`; sha256 checked if `expected`.

    Raises `MissingError` for anything else, such as an HTML page saved in its place, before anything is unpickled.
    """
    if not path.is_file():
        raise MissingError(f"no checkpoint {path}.")
    content = path.read_bytes()
    if content[:512].lstrip().lower().startswith((b"<!doc", b"<html", b"<?xml")):
        raise MissingError(f"{path} is an HTML page, not a checkpoint; the download failed. Fetch it again.")
    if path.suffix == ".safetensors":
        _check_length(path, content)
    digest = hashlib.sha256(content).hexdigest()
    if expected is not None and digest != expected:
        raise MissingError(f"{path} has sha256 {digest}, its lock says {expected}; restore the file or train it anew.")
    return _parse(path, content)


def _check_length(path: Path, content: bytes) -> None:
    """Compare a safetensors file with the length that its own header gives."""
    try:
        header = int.from_bytes(content[:8], "little")
        entries = json.loads(content[8 : 8 + header])
        end = max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingError(f"{path} has no readable safetensors header: it is truncated or no checkpoint.") from error
    if 8 + header + end != len(content):
        raise MissingError(f"{path} holds {len(content)} bytes, its header says {8 + header + end}: it is truncated.")


def _parse(path: Path, content: bytes) -> dict[str, Tensor]:
    import io
    import pickle

    import safetensors.torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingError(f"{path} is not a checkpoint that can be read safely ({reason}).") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise MissingError(f"{path} holds no plain dictionary of tensors; save `model.state_dict()`.")
    return state


def state_digest(model: nn.Module) -> str:
    """The sha256 of a model's structure, code, plain attributes, parameters and buffers: what it is without a file."""
    word = hashlib.sha256(ADDRESS.sub("", repr(model)).encode())
    for kind in dict.fromkeys(type(part) for part in model.modules()):
        word.update(f"{kind.__module__}.{kind.__qualname__}{_source(kind)}".encode())
    for part in model.modules():
        for name, value in sorted(vars(part).items()):
            if isinstance(value, Tensor):
                word.update(f"{name}={value.tolist()}".encode())
            elif isinstance(value, (int, float, str, tuple, list)) and name != "training":
                word.update(f"{name}={ADDRESS.sub('', repr(value))}".encode())
            elif isinstance(value, FunctionType):
                word.update(f"{name}={_function(value)}".encode())
    for name, value in sorted(model.state_dict().items()):
        word.update(f"{name}{list(value.shape)}{value.dtype}".encode())
        word.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return word.hexdigest()


def _function(value: FunctionType) -> str:
    """What a function does: its byte code, the names and constants it uses, its defaults and what it closes over."""
    code = value.__code__
    closed = [cell.cell_contents for cell in value.__closure__ or ()]
    parts = (code.co_code.hex(), code.co_names, code.co_consts, value.__defaults__, value.__kwdefaults__, closed)
    return ADDRESS.sub("", repr(parts))


def _source(kind: type[nn.Module]) -> str:
    """The source of a class, or nothing if it was made on the fly."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""
