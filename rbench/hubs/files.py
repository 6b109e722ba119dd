"""Weights in the caches of other packages: found there, or fetched if the user says --download; never unasked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from rbench.data.official import download_wanted
from rbench.errors import MissingError
from rbench.files import sha256

PAGES = (b"<!doc", b"<html", b"<?xml")


def told(path: Path) -> dict[str, str]:
    """The name and sha256 of a file of weights; raises `MissingError` for a web page that was saved in its place."""
    with path.open("rb") as file:
        if file.read(512).lstrip().lower().startswith(PAGES):
            raise MissingError(f"{path} is an HTML page, not a checkpoint; the download failed. Fetch it again.")
    return {"file": path.name, "sha256": sha256(path)}


def safe(path: Path) -> None:
    """Raise `MissingError` for a file that would run code when it is read: other packages unpickle without a guard."""
    import torch

    if path.suffix == ".safetensors":
        return
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise MissingError(f"{path} is not a checkpoint that can be read safely ({reason(error)}).") from error


def from_torch(url: str, model: str, *, fetch: bool = True) -> Path | None:
    """A file of torch's own cache, where `torch.hub` puts it; None if it is not there and shall not be fetched.

    Raises `MissingError` if it is missing, or its sha256 does not begin as its name says.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if not path.is_file():
        if not fetch:
            return None
        if not download_wanted():
            raise MissingError(f"the weights of {model} are not here; add --download, or put {url} at {path}.")
        _download(url, path, model)
    tail = path.stem.rpartition("-")[2]
    digest = told(path)["sha256"]
    if len(tail) >= 8 and set(tail) <= set("0123456789abcdef") and not digest.startswith(tail):
        raise MissingError(f"{path} has sha256 {digest}, its name says {tail}...; remove it, and fetch {url} again.")
    return path


def _download(url: str, path: Path, model: str) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except OSError as error:
        raise MissingError(f"the weights of {model} cannot be fetched ({error}); put {url} at {path}.") from error


@contextmanager
def unfetched(model: str) -> Iterator[None]:
    """Let `torch.hub` fetch nothing, unless the user allows it; raises `MissingError` that says what to put where."""
    import torch

    if download_wanted():
        yield
        return

    def refuse(url: str, dst: str, *_args: Any, **_options: Any) -> None:
        raise MissingError(f"the weights of {model} are not here; add --download, or put {url} at {dst}.")

    before, torch.hub.download_url_to_file = torch.hub.download_url_to_file, refuse
    try:
        yield
    finally:
        torch.hub.download_url_to_file = before


def from_hf(repo: str, names: Sequence[str], revision: str | None, model: str) -> Path:
    """The first of some files that a repository of Hugging Face has: in its cache, else fetched.

    Raises `MissingError` if there is none.
    """
    import huggingface_hub as hub

    for name in names:
        found = hub.try_to_load_from_cache(repo, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    if not download_wanted():
        raise _absent(repo, names, revision, model)
    problem: Exception | None = None
    for name in names:
        try:
            return Path(hub.hf_hub_download(repo, name, revision=revision))
        except Exception as error:  # noqa: BLE001 - the errors of the network are those of three libraries
            problem = error if problem is None else problem
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    raise MissingError(f"{' or '.join(names)} of {model} cannot be fetched from {repo!r} ({reason}).") from problem


def _absent(repo: str, names: Sequence[str], revision: str | None, model: str) -> MissingError:
    """Which file to put where, and the nearest repository that is there."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    here = [path.name.removeprefix("models--").replace("--", "/") for path in cache.glob("models--*")]
    near = get_close_matches(repo, [each for each in here if each != repo], n=1, cutoff=0.8)
    meant = f" Did you mean {near[0]!r}, which is there?" if near else ""
    which = f" --revision {revision}" if revision else ""
    return MissingError(
        f"{' or '.join(names)} of {model} is not in {cache}; add --download, or run `hf download {repo}{which}` where "
        f"there is a network and copy {cache / ('models--' + repo.replace('/', '--'))}.{meant}"
    )


def version(package: str) -> str:
    """A package and its version, as "timm 1.0.9"."""
    from importlib import metadata

    return f"{package} {metadata.version(package)}"


def reason(error: BaseException) -> str:
    """The first line of what an error says."""
    text: Any = str(error)
    return text.splitlines()[0] if text else type(error).__name__
