"""Two timed batches of everything that an evaluation spends its time on, and the memory of a backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.bench import Bench, Source, load_images, set_up
from rbench.costs.forecast import Pair, Timed
from rbench.errors import UsageError
from rbench.memory import out_of_memory
from rbench.referee import logits_of
from rbench.tuning import clock_of
from rbench.types import Probe

MADE = 8  # samples whose corrupted images are made in each batch that is timed


@dataclass(frozen=True)
class Wanted:
    """The probes that have samples left, and whether any of them takes gradients."""

    probes: Sequence[Probe]
    gradients: bool


def timed(source: Source, wanted: Wanted, n: int, batch: int | None) -> Timed:
    """Seconds of two batches, after one to warm up: judging, attacking each team of surrogates, making images.

    The batch has the size that the evaluation would choose, unless one is given. Raises `UsageError` for a batch that
    the device has no memory for, and what `rbench.bench.set_up` raises.
    """
    try:
        bench = set_up(source, wanted.probes, n, batch, lambda _: None)
        x, y = load_images(bench.dataset, np.arange(bench.batch) % n, bench.device)
        forwards, gradients, held = {}, {}, 0
        for probe in wanted.probes:
            if probe.attack is None or probe.surrogates in forwards:
                continue
            model, members = bench.crafting(probe).twin, max(len(probe.surrogates), 1)
            forwards[probe.surrogates] = _pair(bench, partial(_forward, model, x), members * len(x))
            if wanted.gradients:
                held = max(held, memory(model, x, y))
                gradients[probe.surrogates] = _pair(bench, partial(gradient, model, x, y), members * len(x))
        judging = _pair(bench, lambda: logits_of(bench.model, x, bench.dataset.classes), len(x))
        plain = _making(bench, None, n)
        making = {probe.name: _making(bench, probe, n) if probe.data else plain for probe in wanted.probes}
    except Exception as error:
        if not out_of_memory(error):
            raise
        size = f"a batch of {batch}" if batch else "a batch"
        raise UsageError(f"{size} does not fit {source.device}; name a smaller --batch.") from error
    return Timed(bench.batch, str(bench.device), judging, forwards, gradients, making, held)


def _pair(bench: Bench, work: Callable[[], object], images: int) -> Pair:
    """The seconds an image of two runs of some work, after one that does not count."""
    clock = clock_of(bench.device)
    work()
    found = []
    for _ in range(2):
        _wait(bench.device)
        started = clock()
        work()
        _wait(bench.device)
        found.append((clock() - started) / images)
    return found[0], found[1]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _making(bench: Bench, probe: Probe | None, n: int) -> Pair:
    """The seconds that the images of a sample take until they are there: read, decoded and, for a probe, corrupted."""
    rows = np.arange(min(MADE, n))
    if probe is None:
        return _pair(bench, lambda: load_images(bench.dataset, rows, bench.device), len(rows))
    view = bench.view(probe)
    rows = rows[: max(1, MADE // view.frames)]
    group = view.groups[len(view.groups) // 2]
    one, other = _pair(bench, lambda: view.images(rows, group), len(rows))
    return one * len(view.groups), other * len(view.groups)


@torch.no_grad()
def _forward(model: nn.Module, x: Tensor) -> Tensor:
    return model(x)


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of the cross-entropy at images x [B, C, H, W] with labels y [B], as attacks take it."""
    point = x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
    return grad


def memory(model: nn.Module, x: Tensor, y: Tensor) -> int:
    """The bytes that a gradient at images x [B, C, H, W] takes.

    On a GPU the peak that PyTorch's allocator reports. On a CPU nobody counts that (the size of a process is libraries
    for the most part), so it is what must be there at once: parameters, buffers, images and their gradient, and all
    that autograd saves between forward and backward; what a layer needs for itself for a moment is not in it.
    """
    if x.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(x.device)
        gradient(model, x, y)
        return int(torch.cuda.max_memory_allocated(x.device))
    held = {_place(value): _size(value) for value in (*model.parameters(), *model.buffers(), x)}
    saved: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        saved[_place(value)] = _size(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        grad = gradient(model, x, y)
    return sum({**saved, **held}.values()) + _size(grad)


def _place(value: Tensor) -> int:
    """Where a tensor's memory begins; views of one another share it."""
    return value.untyped_storage().data_ptr()


def _size(value: Tensor) -> int:
    return value.untyped_storage().nbytes()
