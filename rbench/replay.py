"""Attacked images that were kept, and the attack that shows them again: one pass an image, and a proof where it fools.

A perturbation is kept as whole numbers of eps/127, rounded towards the image, so that it never leaves the ball.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

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


def pack(x: Tensor, x_adv: Tensor, threat: Threat) -> npt.NDArray[np.int8]:
    """The perturbations of images x, both [B, C, H, W] in [0, 1], as whole numbers of eps/127, [B, C, H, W]."""
    levels = (x_adv.double() - x.double()) / threat.radius * LEVELS
    kept = torch.sign(levels) * torch.floor(levels.abs() + ROUNDING)
    return kept.clamp(-LEVELS, LEVELS).to(torch.int8).cpu().numpy()


def unpack(x: Tensor, kept: npt.NDArray[np.int8], threat: Threat) -> Tensor:
    """Images x [B, C, H, W] in [0, 1] with the perturbations that `pack` kept, in [0, 1]."""
    moves = torch.from_numpy(kept).to(x.device).double() * (threat.radius / LEVELS)
    return (x.double() + moves).clamp(0, 1).to(x.dtype)


def write(path: Path, kept: Mapping[int, npt.NDArray[np.int8]], shape: tuple[int, ...]) -> None:
    """A Parquet file with the perturbation, of one shape, of each sample that has one."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    order = sorted(kept)
    levels = pa.array([kept[sample].tobytes() for sample in order], pa.binary())
    table = pa.table({"sample": pa.array(order, pa.int64()), "levels": levels}).replace_schema_metadata(
        {"shape": ",".join(map(str, shape))}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    write_atomically(path, sink.getvalue())


@lru_cache(maxsize=2)
def read(path: Path, changed: int) -> tuple[dict[int, bytes], tuple[int, ...]]:  # noqa: ARG001 - for the cache
    """By sample the perturbation's bytes, and the shape of one; `changed` is the file's time, lest an old one stays.

    Raises `StoreError` for what is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        shape = tuple(int(side) for side in table.schema.metadata[b"shape"].decode().split(","))
        held = dict(zip(table["sample"].to_pylist(), table["levels"].to_pylist(), strict=True))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise StoreError(f"{path} holds no kept images ({error}).") from error
    return held, shape


def replay(model: object, x: Tensor, y: Tensor, threat: Threat, *, rng: Draws, file: str) -> Tensor:  # noqa: ARG001
    """The images that `file` keeps of the samples x [B, C, H, W]; a sample that it lacks stays as it is.

    The model is not asked: the referee does that. Raises `MissingError` without the file, `StoreError` for one of
    images of another shape.
    """
    path = Path(file)
    if not path.is_file():
        raise MissingError(f"there are no kept images {path}.")
    held, shape = read(path, path.stat().st_mtime_ns)
    if shape != tuple(x.shape[1:]):
        raise StoreError(f"{path} keeps images of shape {list(shape)}, not {list(x.shape[1:])}.")
    nothing = bytes(int(np.prod(shape)))
    rows = [np.frombuffer(held.get(int(sample), nothing), np.int8).reshape(shape) for sample in rng.samples]
    return unpack(x, np.stack(rows), threat)
