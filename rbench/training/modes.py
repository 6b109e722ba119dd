"""Running a network in training without leaving traces in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def untracked(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Run `model` in training or evaluation mode; its running statistics, counters and own mode stay as they were.

    In training mode batch norm still normalises by the batch, it only does not remember it.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    was_training = model.training
    model.train(training)
    for norm in norms:
        norm.track_running_stats = norm.track_running_stats and not training
    try:
        yield
    finally:
        for norm, value in zip(norms, tracked, strict=True):
            norm.track_running_stats = value
        model.train(was_training)


def running_statistics(model: nn.Module) -> Iterator[Tensor]:
    """What batch norms remember of the images that they see: running means and variances, unless they are kept."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            yield from (buffer for buffer in (module.running_mean, module.running_var) if buffer is not None)


def widened(logits: Tensor) -> Tensor:
    """Logits in no less than float32, in which losses are computed."""
    return logits.float() if torch.finfo(logits.dtype).bits < 32 else logits
