"""Where the images of a folder come from, if `rbench corrupt` made them: its manifest lies beside them."""

import json
from collections.abc import Mapping
from pathlib import Path


def maker_of(root: Path, corruption: str) -> Mapping[str, str]:
    """The provenance of images that `rbench corrupt` made: source, generator, table, seed, jpeg85, frost.

    Nothing for a folder of another origin. What is said replaces `source = files`.
    """
    try:
        held = json.loads((root / "manifest.json").read_text())
        made = {"source": "generated", "by": f"rbench {held['rbench']}", "generator": held["generator"]}
        made |= {"table": str(held["table"] or "by size"), "made with seed": str(held["seed"])}
        made |= {"jpeg85": "yes" if held["format"] == "folders" else "no"}
        return {**made, "frost": held["frost"]["source"]} if corruption == "frost" else made
    except (OSError, ValueError, KeyError, TypeError):
        return {}
