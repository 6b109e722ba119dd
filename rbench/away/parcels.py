"""Values on their way to machines without a shared disk: pickled, with the files that they name beside them."""

import io
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.catalog import Catalog, adopt
from rbench.errors import MissingError
from rbench.files import digest_bytes, write_atomically
from rbench.types import Call


@dataclass(frozen=True)
class Parcel:
    """A pickled value, and the files, by their sha256, that it wants beside it."""

    data: bytes
    files: dict[str, bytes]


class _Packer(pickle.Pickler):
    """Puts files in the place of their paths, code that is pointed to among them, and this package's shelves."""

    def __init__(self, sink: io.BytesIO) -> None:
        super().__init__(sink, protocol=pickle.HIGHEST_PROTOCOL)
        self.files: dict[str, bytes] = {}
        self._shelves = Catalog.builtin()

    def persistent_id(self, value: Any) -> tuple[str, ...] | None:
        """What stands for a value on the way, None if it travels as it is."""
        if isinstance(value, Path) and value == self._shelves:
            return ("shelves",)
        if isinstance(value, Path) and value.is_file():
            return ("file", self._taken(value), value.name)
        if isinstance(value, Call) and value.use.rpartition(":")[0].endswith(".py"):
            where, _, name = value.use.rpartition(":")
            path = Path(where).resolve()
            inner = pickle.dumps(dict(value.args))
            return ("code", self._taken(path), str(path), name, inner.hex())
        return None

    def _taken(self, path: Path) -> str:
        content = path.read_bytes()
        digest = digest_bytes(content)
        self.files[digest] = content
        return digest


class _Unpacker(pickle.Unpickler):
    """Puts the files of this machine where those of the sender were."""

    def __init__(self, data: bytes, fetch: Callable[[str], bytes]) -> None:
        super().__init__(io.BytesIO(data))
        self._fetch = fetch

    def persistent_load(self, token: Any) -> Any:
        """The value that a token stands for here."""
        kind, *parts = token
        if kind == "shelves":
            return Catalog.builtin()
        if kind == "file":
            return kept(parts[0], parts[1], self._fetch)
        digest, path, name, inner = parts
        adopt(Path(path), kept(digest, Path(path).name, self._fetch))
        return Call(f"{path}:{name}", pickle.loads(bytes.fromhex(inner)))  # noqa: S301 - as trusted as the parcel


def pack(value: Any) -> Parcel:
    """A value as a parcel; raises `MissingError` for pointers to code in files that are not there."""
    sink = io.BytesIO()
    packer = _Packer(sink)
    try:
        packer.dump(value)
    except OSError as error:
        raise MissingError(f"{error.filename} cannot be sent to the workers: {error.strerror}.") from error
    return Parcel(sink.getvalue(), packer.files)


def unpack(data: bytes, fetch: Callable[[str], bytes]) -> Any:
    """The value of a parcel; `fetch(digest)` is asked for each file that this machine does not keep yet."""
    return _Unpacker(data, fetch).load()


def kept(digest: str, name: str, fetch: Callable[[str], bytes]) -> Path:
    """A file on this machine, by its sha256; it is fetched once, whoever asks, and again if it is not what it was."""
    from filelock import FileLock

    folder = store() / digest
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with FileLock(folder / ".lock"):
        if not path.is_file() or digest_bytes(path.read_bytes()) != digest:
            content = bytes(fetch(digest))
            if digest_bytes(content) != digest:
                raise MissingError(f"{name} was damaged on its way to this machine; run the same command again.")
            write_atomically(path, content)
    return path


def store() -> Path:
    """The folder of this machine and user that keeps files which came in parcels, code among them."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"rbench-parcels-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != user:
        raise MissingError(f"{folder} belongs to another user; have it removed, or set TMPDIR to another folder.")
    return folder
