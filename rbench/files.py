"""Files that are there whole or not at all, and digests of files and values."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

TEMPORARY = ".*.tmp"  # what an interrupted write may leave behind


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to the disk and rename: a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened, nor its entries flushed
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sha256(path: Path) -> str:
    """The sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_bytes(content: bytes) -> str:
    """The sha256 of some bytes as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: Any) -> str:
    """The one text of a value: sorted keys, no spaces, non-finite numbers refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """The sha256 (64 hex digits) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
