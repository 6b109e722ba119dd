"""Attacked images that were kept, and the attack that shows them again: one pass an image, and a proof where it fools.

A perturbation is kept as whole numbers of 1/127 of its largest entry, rounded towards the image, so that it never
leaves the ball.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rbench.errors import MissingError, StoreError
from rbench.files import write_atomically
from rbench.rng import Draws
from rbench.types import Threat

LEVELS = 127
ROUNDING = 1e-3  # of a level: what float32 leaves of a perturbation of exactly eps


class Move(NamedTuple):
    """A perturbation [C, H, W]: whole numbers of `scale`/127, where `scale` is its largest entry."""

    levels: npt.NDArray[np.int8]
    scale: float


def pack(x: Tensor, x_adv: Tensor) -> list[Move]:
    """The perturbations of images x, both [B, C, H, W] in [0, 1]."""
    moves = x_adv.double() - x.double()
    scales = moves.abs().flatten(1).amax(1).tolist()
    found = []
    for move, scale in zip(moves.cpu().numpy(), scales, strict=True):
        levels = move / scale * LEVELS if scale > 0 else move
        found.append(Move((np.sign(levels) * np.floor(np.abs(levels) + ROUNDING)).astype(np.int8), scale))
    return found


def unpack(x: Tensor, moves: list[Move]) -> Tensor:
    """Images x [B, C, H, W] in [0, 1] with perturbations that `pack` kept, in [0, 1]."""
    delta = np.stack([move.levels * (move.scale / LEVELS) for move in moves])
    return (x.double() + torch.from_numpy(delta).to(x.device)).clamp(0, 1).to(x.dtype)


def write(path: Path, kept: Mapping[int, Move]) -> None:
    """A Parquet file with the perturbation, of one shape, of each sample that has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = sorted(kept)
    columns = {
        "sample": pa.array(order, pa.int64()),
        "scale": pa.array([kept[sample].scale for sample in order], pa.float64()),
        "levels": pa.array([kept[sample].levels.tobytes() for sample in order], pa.binary()),
    }
    shape = next((move.levels.shape for move in kept.values()), (0,))
    table = pa.table(columns).replace_schema_metadata({"shape": ",".join(map(str, shape))})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    write_atomically(path, sink.getvalue())


@lru_cache(maxsize=2)
def read(path: Path, changed: int) -> tuple[dict[int, Move], tuple[int, ...]]:  # noqa: ARG001 - lest an old one stays
    """By sample its perturbation, and the shape of one; `changed` is the file's time.

    Raises `StoreError` for what is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        shape = tuple(int(side) for side in table.schema.metadata[b"shape"].decode().split(","))
        rows = (table[name].to_pylist() for name in ("sample", "levels", "scale"))
        held = {
            sample: Move(np.frombuffer(levels, np.int8).reshape(shape), scale)
            for sample, levels, scale in zip(*rows, strict=True)
        }
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise StoreError(f"{path} holds no kept images ({error}).") from error
    return held, shape


def replay(model: object, x: Tensor, y: Tensor, threat: Threat, *, rng: Draws, file: str) -> Tensor:  # noqa: ARG001
    """The images that `file` keeps of the samples x [B, C, H, W]; a sample that it lacks stays as it is.

    The model is not asked: the referee does that, and holds the images to the threat. Raises `MissingError` without the
    file, `StoreError` for one of images of another shape.
    """
    path = Path(file)
    if not path.is_file():
        raise MissingError(f"there are no kept images {path}.")
    held, shape = read(path, path.stat().st_mtime_ns)
    if held and shape != tuple(x.shape[1:]):
        raise StoreError(f"{path} keeps images of shape {list(shape)}, not {list(x.shape[1:])}.")
    still = Move(np.zeros(tuple(x.shape[1:]), np.int8), 0.0)
    return unpack(x, [held.get(int(sample), still) for sample in rng.samples])
