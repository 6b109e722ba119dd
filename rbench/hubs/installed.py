"""Whether an installed package is what its own wheel brought: some wheels write into the folders of others."""

import base64
import hashlib
from importlib import metadata
from importlib.metadata import PackagePath

from rbench.errors import MissingError


def own_files(package: str, intruder: str, extra: str) -> None:
    """Raise `MissingError` unless every module of a package has the sha256 that its installation recorded.

    `intruder` is the package whose wheel is known to overwrite files of this one.
    """
    remedy = (
        f"pip uninstall {intruder}, then pip install --force-reinstall --no-deps {package}; the two need environments "
        "of their own"
    )
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise MissingError(
            f"a folder {package} can be imported, but no such package is installed: the wheel of {intruder} brings a "
            f"part of an old one. In an environment without {intruder}, run: pip install 'rbench[{extra}]'"
        ) from None
    modules = [path for path in files if path.parts[0] == package and path.suffix == ".py" and path.hash]
    changed = [path for path in modules if not _as_recorded(path)]
    if changed:
        raise MissingError(
            f"{len(changed)} of {len(modules)} files of {package} are not its own ({changed[0]}), as where {intruder} "
            f"was installed over it: {remedy}."
        )


def _as_recorded(path: PackagePath) -> bool:
    """Whether a file is there and has the digest of the wheel's RECORD."""
    assert path.hash is not None  # noqa: S101 - others are not asked
    try:
        content = path.locate().read_bytes()  # type: ignore[attr-defined]  # a Path
    except OSError:
        return False
    digest = hashlib.new(path.hash.mode, content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == path.hash.value
