"""Putting finished weights on the shelf, where models are loaded from, with their digest in the lock."""

import json
import os
import tempfile
import tomllib
from pathlib import Path

from filelock import FileLock

from rbench.catalog import Catalog
from rbench.errors import StoreError
from rbench.files import digest_of, sha256, write_atomically
from rbench.types import ModelCard

_HEADER = "# The sha256 of the weights of each model; written by `rbench train`.\n"


def publish(catalog: Catalog, card: ModelCard, weights: Path) -> Path:
    """Copy `weights` to the place that the card names and enter their sha256 in `weights.lock`; returns that place.

    The lock is written last, by one process at a time. Raises `StoreError` if the shelf cannot be written; `weights`
    stay where they are.
    """
    target, _ = catalog.weights(card)
    lock = target.parent.parent / "weights.lock"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, weights.read_bytes())
        with FileLock(Path(tempfile.gettempdir()) / f"rbench-{digest_of(str(lock.resolve()))[:16]}.lock"):
            listed = tomllib.loads(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
            write_atomically(lock, lock_text({**listed, card.name: sha256(target)}).encode())
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreError(
            f"cannot publish to the shelf {target.parent.parent} ({reason}); the weights stay in {weights}."
        ) from error
    return target


def lock_text(digests: dict[str, str]) -> str:
    """The lock as TOML, sorted by name."""
    return _HEADER + "".join(f"{_key(name)} = {json.dumps(digests[name])}\n" for name in sorted(digests))


def _key(name: str) -> str:
    """A TOML key, quoted only where it must be."""
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name)
