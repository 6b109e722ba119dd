"""Where the images of a folder come from, if `rbench corrupt` made them: its manifest lies beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rbench.errors import MissingError

JPEG85 = {"folders": "yes", "npy": "no"}  # by layout: folders hold JPEGs of quality 85, arrays the bytes as they were


def maker_of(root: Path, corruption: str) -> Mapping[str, str]:
    """The provenance of images that `rbench corrupt` made: source, by, generator, table, seed, jpeg85, frost.

    Nothing for a folder without its manifest. What is said replaces `source = files`, and nothing that `rbench` made is
    official. Raises `MissingError` for a manifest that is damaged, or does not list the corruption as finished.
    """
    path = root / "manifest.json"
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text())
        return _told(held, corruption) if "rbench" in held else {}  # others may call a file so, too
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingError(
            f"{path} does not say what made {corruption} ({type(error).__name__}: {error}). Make the folder again with "
            "`rbench corrupt`, or remove that file if the images are not from there."
        ) from error


def _told(held: Mapping[str, Any], corruption: str) -> Mapping[str, str]:
    """What a manifest of `rbench.making.run` says of a corruption; raises one of many errors if it does not."""
    if not any(name.split("/")[0] in (corruption, f"{corruption}.npy") for name in held["files"]):
        raise ValueError(f"{corruption} is not finished")
    variant = held["generator"] == "imagecorruptions"  # whose constants are those of 224 pixels, whatever the size
    made = {
        "source": "generated",
        "by": f"rbench {held['rbench']}",
        "generator": str(held["generator"]),
        "table": "224" if variant else str(held["table"] or "by size"),
        "made with seed": str(held["seed"]),
        "jpeg85": JPEG85[held["layout"]],
    }
    return {**made, "frost": str(held["frost"]["source"])} if corruption == "frost" else made
