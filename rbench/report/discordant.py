"""A picture of the images on which two models differ, with their label and what each model took them for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, MOST = 8, 32


def discordant(images: npt.NDArray[Any], captions: Sequence[str], title: str) -> "Figure":
    """The first 32 images [n, C, H, W], uint8 or in [0, 1], each below its caption."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(zip(images, captions, strict=True))[:MOST]
    height = max(1, -(-len(shown) // COLUMNS))
    figure = Figure(figsize=(1.25 * COLUMNS, 0.6 + 1.5 * height), layout="constrained")
    FigureCanvasAgg(figure)
    for axes in figure.subplots(height, COLUMNS, squeeze=False).flat:
        axes.set_axis_off()
    for axes, (image, caption) in zip(figure.axes, shown, strict=False):
        pixels = image.transpose(1, 2, 0)
        axes.imshow(pixels if pixels.dtype == np.uint8 else pixels.clip(0, 1), interpolation="nearest")
        axes.set_title(caption, fontsize=7)
    more = f" (the first {MOST} of {len(images)})" if len(images) > MOST else ""
    figure.suptitle(title + more, fontsize=9)
    return figure


def caption(sample: int, label: int, predictions: Mapping[str, int]) -> str:
    """The number of an image, its label, and what each model took it for."""
    return "\n".join([f"#{sample}: {label}", *(f"{name}: {taken}" for name, taken in predictions.items())])
