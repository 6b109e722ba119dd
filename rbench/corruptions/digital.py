"""Corruptions of digital images: fewer pixels, and compression by JPEG; on bytes, as Pillow computes them."""

from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from rbench.corruptions.randomness import Randomness

STORED_QUALITY = 85  # of the files of ImageNet-C and Tiny-ImageNet-C


def jpeg_compression(x: Tensor, rng: Randomness, quality: float) -> Tensor:  # noqa: ARG001
    """Images that went through JPEG of a quality in 1..100 with chroma at half the resolution (4:2:0).

    The pixels are those of Pillow's `save(..., "JPEG", quality=quality)`; images on other devices go through the CPU.
    Bytes are answered with bytes.
    """
    return like(through_jpeg(as_bytes(x), int(quality)), x)


def stored_as_jpeg(y: Tensor) -> Tensor:
    """Images, uint8 [B, 3, H, W], as they come back from JPEG files of quality 85 and 4:2:0, as ImageNet-C's are.

    The authors also had the tables of the entropy coder optimised, which makes files smaller and changes no pixel.
    """
    return through_jpeg(y, STORED_QUALITY)


def through_jpeg(y: Tensor, quality: int) -> Tensor:
    """Images, uint8 [B, 3, H, W], encoded and decoded by Pillow, one by one.

    In two threads it takes twice as long: they wait for Python's lock more often than they compute.
    """
    from PIL import Image

    given = y.contiguous().cpu().numpy()
    made = np.empty_like(given)
    height, width = y.shape[-2:]
    for number, planes in enumerate(given):
        file = BytesIO()
        # Plane by plane in, line by line out, and without a parse of the header: a fourth less time than by pixels.
        bands = [Image.frombuffer("L", (width, height), plane, "raw", "L", 0, 1) for plane in planes]
        Image.merge("RGB", bands).save(file, "JPEG", quality=quality)
        image = Image.frombytes("RGB", (width, height), file.getvalue(), "jpeg", "RGB", "")
        lines = np.frombuffer(image.tobytes("raw", "RGB;L"), np.uint8).reshape(height, 3, width)
        made[number] = lines.swapaxes(0, 1)
    return torch.from_numpy(made).to(y.device)


def pixelate(x: Tensor, rng: Randomness, factor: float) -> Tensor:  # noqa: ARG001
    """Images of int(H * factor) x int(W * factor) averaged pixels, shown at H x W pixels; 0 < factor <= 1.

    Both steps are Pillow's filter BOX, which rounds to bytes after the columns and again after the rows (it takes the
    rows first for images more than twice as high as wide; not so here). Bytes are answered with bytes.
    """
    height, width = x.shape[-2:]
    small = boxed(as_bytes(x), int(height * factor), int(width * factor))
    return like(boxed(small, height, width), x)


def pixelate_variant(x: Tensor, rng: Randomness, factor: float) -> Tensor:  # noqa: ARG001
    """As `pixelate`, but at each place stands the nearest averaged pixel, by Pillow's filter NEAREST."""
    height, width = x.shape[-2:]
    small = boxed(as_bytes(x), int(height * factor), int(width * factor))
    # Columns first, while there are few rows to transpose.
    columns = small.mT.contiguous().index_select(-2, _nearest(small.shape[-1], width, x.device))
    return like(columns.mT.contiguous().index_select(-2, _nearest(small.shape[-2], height, x.device)), x)


def boxed(y: Tensor, height: int, width: int) -> Tensor:
    """Images, uint8 [..., H, W], resized to height x width pixels by Pillow's filter BOX."""
    # Rows lie together in memory, so both directions are done as rows.
    columns = _averaged(y.mT.contiguous(), width).mT.contiguous()
    return _averaged(columns, height)


def _averaged(y: Tensor, out: int) -> Tensor:
    """Rows, uint8 [..., N, M], averaged to `out` rows in Pillow's fixed point of 22 bits, a half rounded up."""
    first, count, weight = _members(y.shape[-2], out, y.device)
    most = len(count)
    total = y.index_select(-2, first)
    if most == 1:
        return total
    total = total.to(torch.int32)
    for k in range(1, most):
        # Where a row has fewer members, some pixel is read in its place and counted with weight 0.
        total += y.index_select(-2, first + k * count[k]) * count[k][:, None]
    return total.mul_(weight[:, None]).add_(1 << 21).bitwise_right_shift_(22).to(torch.uint8)


@lru_cache(maxsize=64)
def _members(size: int, out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Which of `size` pixels each of `out` averages, as Pillow's filter BOX has it.

    The first ones, int64 [out]; whether there is a k-th from there, uint8 [most, out]; the weight of each, in 2^-22.
    """
    step = size / out
    centres = (np.arange(out) + 0.5) * step
    # In this order of operations, since pixels on the border of a box are decided by the rounding of floats.
    pixels, centres, scale = np.arange(size), centres[:, None], max(step, 1.0)
    offsets = (pixels - centres + 0.5) * (1 / scale)
    inside = (offsets > -0.5) & (offsets <= 0.5)
    inside &= (pixels >= np.trunc(centres - scale / 2 + 0.5)) & (pixels < np.trunc(centres + scale / 2 + 0.5))
    number = inside.sum(1)
    there = np.arange(number.max())[:, None] < number
    weight = np.rint(2**22 / number)
    arrays = inside.argmax(1), there.astype(np.uint8), weight.astype(np.int32)
    first, present, weights = (torch.from_numpy(array).to(device) for array in arrays)
    return first, present, weights


@lru_cache(maxsize=64)
def _nearest(size: int, out: int, device: torch.device) -> Tensor:
    """Which of `size` pixels stands at each of `out` places, int64 [out]."""
    step = size / out
    # Pillow adds up steps, and the rounding of its sum decides places that lie just between two pixels.
    places = np.cumsum([step / 2, *[step] * (out - 1)])
    return torch.from_numpy(places.astype(np.int64)).to(device)


def as_bytes(x: Tensor) -> Tensor:
    """Images in multiples of 1/255 as uint8; bytes as they are."""
    # Through int32, since compilers vectorise no cast from float to uint8.
    return x if x.dtype == torch.uint8 else (x * 255).add_(0.5).to(torch.int32).to(torch.uint8)


def like(y: Tensor, x: Tensor) -> Tensor:
    """Images, uint8, in the type of others: as they are, or floats in [0, 1]."""
    return y if x.dtype == torch.uint8 else y.to(x.dtype).div_(255)
