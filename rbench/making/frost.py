"""Which frost is laid over images: photographs that the user has, or their procedural stand-in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rbench.errors import UsageError


def frost_of() -> dict[str, str]:
    """The source of the frost, "photographs" or "procedural", and the digest of its images."""
    from rbench.corruptions import frost_images

    return {"source": frost_images.source(), "digest": frost_images.digest()}


@contextmanager
def frost_source(folder: str | Path | None) -> Iterator[None]:
    """Tell the corruption frost, here and in processes to come, where its photographs lie, for the time of one call."""
    if folder is None:
        yield
        return
    if not Path(folder).is_dir():
        raise UsageError(f"no folder {folder} of frost photographs; name one with --frost.")
    before = os.environ.get("RBENCH_FROST")
    os.environ["RBENCH_FROST"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("RBENCH_FROST")
        if before is not None:
            os.environ["RBENCH_FROST"] = before
