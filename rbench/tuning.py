"""The batch size at which attacks run quickest, measured in the first seconds of a run."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from rbench.memory import free, out_of_memory

DEFAULT_BATCH = 50  # on a CPU as quick an image as 100, and small enough to keep several processes busy to the end
CANDIDATES = {"cpu": (100, 200), "cuda": (250, 500, 1000, 2000)}
WORTHWHILE = 1.5  # another size must be this much quicker than the default, so that noise does not choose
ROUNDS = 4

SIZES = (10, 25, 50, 100, 200)  # that `auto` times on a CPU
TIMINGS, LEAST, LONGEST = (
    5,
    0.02,
    2.0,
)  # of each size; seconds of one at least, and of a pass after which none is larger
TIE = 1.02  # clocks are no better
HELD = 12  # tensors like the images that an attack has beside the pass: gradients, momenta, best points, random starts
SPARE = 0.1  # of a GPU's memory that is left alone: fragments, and what other passes need beyond


def clock_of(device: torch.device) -> Callable[[], float]:
    """What counts the seconds of work on a device; only differences mean anything.

    Where one thread of a CPU works they are those in which this process computed, which a busy machine does not
    stretch; else those that passed. Who times a GPU waits for it first.
    """
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def quickest_batch(model: nn.Module, x: Tensor) -> int:
    """The batch size with the quickest forward and backward pass an image, for images like x [B, C, H, W].

    All candidates are measured in turn, several times over, so that a busy spell of the machine hits them alike; on a
    CPU the clock is the process' own, which runs only while it computes.
    """
    sizes = [DEFAULT_BATCH, *CANDIDATES.get(x.device.type, ())]
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(ROUNDS):
        for size in sizes:
            try:
                best[size] = min(best[size], _seconds_per_image(model, x, size))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                sizes = [smaller for smaller in sizes if smaller < size]
                break
    best[DEFAULT_BATCH] /= WORTHWHILE
    return min(best, key=best.__getitem__)


def _seconds_per_image(model: nn.Module, x: Tensor, size: int) -> float:
    clock = time.perf_counter if x.device.type == "cuda" else time.process_time
    start = clock()
    _pass(model, x, size)
    return (clock() - start) / size


def auto_batch(model: nn.Module, x: Tensor, most: int) -> tuple[int, str]:
    """A batch size of at most `most` for images like x [B, C, H, W], and in words why it is that one.

    On a GPU it is the largest that fits (see `largest`) with what attacks hold beside it, else the fastest (`fastest`).
    """
    if x.device.type == "cuda":
        size = largest(partial(_with_room, model, x), most)
        bound = "as much as there is for a worker" if size == most else "the largest whose backward pass fits"
        return size, f"{bound} on {torch.cuda.get_device_name(x.device)}"
    sizes = [size for size in SIZES if size <= most] or [most]
    return fastest(partial(_pass, model, x), sizes, clock_of(x.device)), f"the fastest of {', '.join(map(str, sizes))}"


def largest(run: Callable[[int], object], most: int) -> int:
    """The largest size in 1..most at which `run(size)` has enough memory, 0 if there is none.

    Sizes double until one does not fit, and are bisected from there: powers of two alone could leave half of the memory
    idle, and the further passes take seconds.
    """
    fits, tried = 0, 1
    while fits < most and _fits(run, tried):
        fits, tried = tried, min(2 * tried, most)
    while tried - fits > 1:
        middle = (fits + tried) // 2
        fits, tried = (middle, tried) if _fits(run, middle) else (fits, middle)
    return fits


def fastest(run: Callable[[int], object], sizes: Sequence[int], clock: Callable[[], float]) -> int:
    """The size whose `run(size)` takes the least time an image; of those that are as fast, the smallest.

    Medians of timings, each of as many runs as take some time; all sizes are timed in turn, so that a busy spell of the
    machine hits them alike. Sizes that have not enough memory, or take long already, end the list.
    """
    able: list[int] = []
    for size in sorted(sizes):  # the first pass also warms up
        start = clock()
        if not _fits(run, size):
            break
        able.append(size)
        if clock() - start > LONGEST:
            break
    if not able:
        return 0
    seconds: dict[int, list[float]] = {size: [] for size in able}
    for _ in range(TIMINGS):
        for size in able:
            seconds[size].append(_timed(partial(run, size), clock) / size)
    times = {size: median(each) for size, each in seconds.items()}
    return min(size for size in able if times[size] <= TIE * min(times.values()))


def _timed(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one run, from as many as take `LEAST` together."""
    start, count = clock(), 0
    while (spent := clock() - start) < LEAST or not count:
        run()
        count += 1
    return spent / count


def _fits(run: Callable[[int], object], size: int) -> bool:
    try:
        run(size)
    except Exception as error:
        if not out_of_memory(error):
            raise
    else:
        return True
    free()  # out here nothing holds the tensors of the pass that failed
    return False


def _with_room(model: nn.Module, x: Tensor, size: int) -> None:
    """A pass on a GPU beside what an attack holds, and with some of the memory left alone."""
    spare = torch.empty(int(SPARE * torch.cuda.mem_get_info(x.device)[1]), dtype=torch.uint8, device=x.device)
    held = [x.new_empty(size, *x.shape[1:]) for _ in range(HELD)]
    _pass(model, x, size)
    del spare, held


def _pass(model: nn.Module, x: Tensor, size: int) -> None:
    """Forwards and backwards through a model, for so many images like x [B, C, H, W]."""
    images = x[torch.arange(size, device=x.device) % len(x)].requires_grad_()
    total = model(images).sum()
    if total.requires_grad:  # models without a gradient are for the attacks to complain about
        torch.autograd.grad(total, images)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
