"""The batch size at which attacks run quickest, measured in the first seconds of a run."""

import time

import torch
from torch import Tensor, nn

DEFAULT_BATCH = 50  # on a CPU as quick an image as 100, and small enough to keep several processes busy to the end
CANDIDATES = {"cpu": (100, 200), "cuda": (250, 500, 1000, 2000)}
WORTHWHILE = 1.5  # another size must be this much quicker than the default, so that noise does not choose
ROUNDS = 4


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
            except torch.OutOfMemoryError:
                sizes = [smaller for smaller in sizes if smaller < size]
                break
    best[DEFAULT_BATCH] /= WORTHWHILE
    return min(best, key=best.__getitem__)


def _seconds_per_image(model: nn.Module, x: Tensor, size: int) -> float:
    images = x[torch.arange(size, device=x.device) % len(x)].requires_grad_()
    clock = time.perf_counter if x.device.type == "cuda" else time.process_time
    start = clock()
    total = model(images).sum()
    if total.requires_grad:  # models without a gradient are for the attacks to complain about
        torch.autograd.grad(total, images)
    if x.device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / size
