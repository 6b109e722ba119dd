"""Image classifiers of transformers as functions from images in [0, 1] to logits."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rbench.errors import MissingError
from rbench.hubs.files import reason, version
from rbench.hubs.wrapping import Wrapped, wrapped

BICUBIC = 3  # as Pillow numbers it


class Logits(nn.Module):
    """The logits of a model that returns them as part of an object."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """The logits [B, K] of standardised images x [B, C, H, W]."""
        logits: Tensor = self.net(pixel_values=x).logits
        return logits


def of_transformers(folder: Path, model: str, provenance: Mapping[str, Any]) -> Wrapped:
    """The classifier in a folder with config.json, its weights and preprocessor_config.json; no code of it is run.

    Raises `MissingError` if transformers cannot read it as a classifier of images.
    """
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise MissingError(
            f"{model} is in the format of transformers, which is not installed: pip install transformers."
        ) from error
    images = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    try:
        net = AutoModelForImageClassification.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise MissingError(
            f"{folder} cannot be read as an image classifier by {version('transformers')}: {reason(error)}. A newer "
            "model needs a newer transformers (pip install -U transformers)."
        ) from error
    standard = images.get("do_normalize", True)
    return wrapped(
        Logits(net),
        {**provenance, "package": version("transformers"), "weights": model, "classes": int(net.config.num_labels)},
        size=_size(images),
        mean=images.get("image_mean", [0.5] * 3) if standard else [0.0] * 3,
        std=images.get("image_std", [0.5] * 3) if standard else [1.0] * 3,
        mode="bicubic" if images.get("resample") == BICUBIC else "bilinear",
    )


def _size(images: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width, of the crop where there is one; written as a number, a pair or an edge."""
    size = images.get("crop_size") if images.get("do_center_crop") else None
    size = size or images.get("size", 224)
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge", 224)
        return int(size.get("height", edge)), int(size.get("width", edge))
    return int(size), int(size)
