"""The manifest beside a made dataset: what it is made of, and what of it is finished."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.errors import StoreError, UsageError
from rbench.files import canonical_json, write_atomically
from rbench.making.layouts import explained
from rbench.store import locked

MANIFEST, LOCK, FILES = "manifest.json", ".lock", "files"


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` of one folder, which holds what was pinned and the sha256 of every finished part."""

    folder: Path
    value: dict[str, Any]

    @property
    def files(self) -> dict[str, str]:
        """The sha256 of every finished part by its name."""
        files: dict[str, str] = self.value[FILES]
        return files

    def add(self, files: Mapping[str, str]) -> None:
        """Keep the digests of parts that are finished."""
        if files.items() <= self.files.items():
            return
        self.files.update(files)
        self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        with explained(self.folder):
            text = json.dumps(self.value, indent=1, sort_keys=True, allow_nan=False) + "\n"
            write_atomically(self.folder / MANIFEST, text.encode())


@contextmanager
def pinned(folder: Path, pins: Mapping[str, Any]) -> Iterator[Manifest]:
    """Hold a folder for writing one dataset.

    Raises `StoreError` if it holds another one or cannot be written, `InterruptedRunError` if another process holds it.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the dataset.")
    with ExitStack() as stack:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _held(folder)  # refuses a folder of others before anything is written there
            stack.enter_context(locked(folder, LOCK))
            held = _held(folder)
        manifest = Manifest(folder, {**json.loads(canonical_json(pins)), FILES: {}})
        if held is None:
            manifest.write()
        else:
            _compare(folder, held, manifest.value)
            manifest.value.update(held)
        yield manifest


def _held(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder, or None if it is empty."""
    path = folder / MANIFEST
    if path.is_file():
        try:
            return dict(json.loads(path.read_text()))
        except ValueError as error:
            raise StoreError(f"{path} cannot be read ({error}); move {folder} away and make it again.") from error
    others = sorted(entry.name for entry in folder.iterdir() if entry.name != LOCK and not entry.name.endswith(".tmp"))
    if others:
        raise StoreError(
            f"{folder} holds {others[0]!r} but no {MANIFEST}: it was not made by rbench. Nothing was changed; name an "
            "empty or a new folder."
        )
    return None


def _compare(folder: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in sorted((held.keys() | wanted.keys()) - {FILES}):
        if held.get(key) != wanted.get(key):
            raise StoreError(
                f"{folder} holds another dataset: its {key} is {held.get(key)!r}, not {wanted.get(key)!r}. Nothing was "
                "changed; name another folder, or ask for what this one holds."
            )
