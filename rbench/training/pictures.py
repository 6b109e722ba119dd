"""Batches of images as pictures of Pillow, in whose operations the published augmentations are written."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from rbench.errors import UsageError

Pixels: TypeAlias = npt.NDArray[np.float32]


def pictures(x: Tensor) -> list[Image.Image]:
    """Images [B, C, H, W] in [0, 1] as 8-bit pictures, to the nearest grey level.

    Raises `UsageError` unless C is 1 or 3.
    """
    if x.shape[1] not in (1, 3):
        raise UsageError(f"images of {x.shape[1]} channels cannot be augmented as pictures, only those of 1 or 3 can.")
    grey = x.shape[1] == 1
    levels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(image[..., 0] if grey else image) for image in levels]


def pixels(picture: Image.Image) -> Pixels:
    """A picture as float32 [H, W, C] in [0, 1]."""
    values = np.asarray(picture, dtype=np.float32) / np.float32(255)
    return values[..., None] if values.ndim == 2 else values


def batch(images: Sequence[Pixels], like: Tensor) -> Tensor:
    """Arrays [H, W, C] as a batch [B, C, H, W] of the type and on the device of `like`."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().to(like)
