"""Adversarial weight perturbation (Wu, Xia and Wang, NeurIPS 2020)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

TINY = 1e-20  # as in the authors' program


@contextmanager
def perturbed(model: nn.Module, gamma: float) -> Iterator[None]:
    """Inside, every weight w of more than one dimension is w + gamma ||w|| g/||g||, with g its gradient so far.

    Afterwards the same is taken off again, whatever an optimiser's step has made of w. The authors take one step of
    plain gradient ascent with a copy of the network and scale it to gamma ||w||; its length, their proxy's learning
    rate, cancels. Norms are over the whole tensor. The gradients are cleared.
    """
    weights = [weight for name, weight in model.named_parameters() if weight.dim() > 1 and "weight" in name]
    shifts = [_shift(weight, gamma) for weight in weights]
    for parameter in model.parameters():
        parameter.grad = None
    _add(weights, shifts, 1)
    try:
        yield
    finally:
        _add(weights, shifts, -1)


@torch.no_grad()
def _shift(weight: Tensor, gamma: float) -> Tensor:
    if weight.grad is None:
        return torch.zeros_like(weight)
    return weight.grad * (gamma * weight.norm() / (weight.grad.norm() + TINY))


@torch.no_grad()
def _add(weights: Sequence[Tensor], shifts: Sequence[Tensor], sign: int) -> None:
    for weight, shift in zip(weights, shifts, strict=True):
        weight.add_(shift, alpha=sign)
