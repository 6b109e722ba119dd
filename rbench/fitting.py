"""Evaluations made to fit into memory: batches of the size that suits a device, and models asked about a few images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from rbench import memory
from rbench.backoff import remedy_on
from rbench.errors import ScarceError, UsageError
from rbench.progress import Teller

if TYPE_CHECKING:
    from torch import nn

    from rbench.bench import Source

Batch = int | Literal["auto"] | None
SHARES = 4  # batches at least for each of several workers, lest some stand idle while the last one ends
FEWER = (32, 16, 8, 4, 2, 1)  # images at once, where a look at all of them does not fit


def batch_of(given: int | str | None) -> Batch:
    """A batch size as it is given: a number of 1 or more, `auto`, or None; raises `UsageError` for anything else."""
    if given is None or given == "auto":
        return "auto" if given else None
    try:
        size = int(given)
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"batch = {given} must be at least 1, or auto.")
    return size


def auto(source: "Source", n: int, workers: int, bar: Teller) -> int:
    """The batch size that suits a model, its data and the device, for `workers` that share n samples; says which.

    Raises `ScarceError` if not even one image fits.
    """
    from rbench.bench import load_images, set_up
    from rbench.parted import Parted
    from rbench.tuning import DEFAULT_BATCH, auto_batch

    most = n if workers == 1 else -(-n // (SHARES * workers))
    size = 0

    def measure(source: "Source") -> None:
        nonlocal size
        bench = set_up(source, (), n, DEFAULT_BATCH, bar.tick)
        x, _ = load_images(bench.dataset, np.arange(min(n, DEFAULT_BATCH)), bench.device)
        twin = bench.twin.inner
        size, why = auto_batch(twin.inner if isinstance(twin, Parted) else twin, x, most)
        if size:
            bar.say(f"batch {size}: {why}")

    sparing(measure, source)
    memory.free()
    if not size:
        raise ScarceError(f"out of memory on {source.device} with a batch of 1.", remedy_on(source.device))
    return size


def sparing(do: "Callable[[Source], None]", source: "Source") -> None:
    """Call `do(source)`; if memory is short, again with a model that takes fewer images at once, down to one.

    That model says the same but for rounding, unless it is random or shows hooks: those are asked as they are. Raises
    `ScarceError` if nothing helps.
    """
    said = ""
    for size in (None, *(FEWER if source.draws == 1 else ())):
        try:
            do(source if size is None else replace(source, model=partial(_parted, source.model, size)))
        except Exception as error:
            if not memory.out_of_memory(error):
                raise
            said = memory.reason(error)
        else:
            return
        memory.free()
    raise ScarceError(f"out of memory on {source.device} ({said}).", remedy_on(source.device))


def _parted(load: "Callable[[], nn.Module]", size: int) -> "nn.Module":
    from rbench.models.hooks import hooks_of
    from rbench.parted import Parted

    model = load()
    return model if hooks_of(model) else Parted(model, size)
