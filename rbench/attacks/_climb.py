"""Climbs: one run of gradient ascent each, on the samples of a hunt that still stand, with a start that is diverse."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, per_sample
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import TINY, Loss, ascend, cross_entropy, difference
from rbench.rng import Draws
from rbench.types import Threat

TURNS = 2  # diversifying steps before a climb; five are no better


def scaled_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """-log softmax(z / (z_(1) - z_(2)))_y, the scale held fixed: no softmax saturates (MIFPE, arXiv 2507.22428)."""
    top = z.detach().topk(2, dim=1).values
    return cross_entropy(z / (top[:, :1] - top[:, 1:] + TINY), y)


def lead(z: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """z_t - z_y for targets t [B]."""
    return -difference(z, y, target)


def _weighted(z: Tensor, y: Tensor, target: Tensor, weights: Tensor) -> Tensor:  # noqa: ARG001 - labels come in order
    """The logits weighted by w [B, K]: where outputs differ most (ODI; Tashiro et al., NeurIPS 2020)."""
    return (z * weights).sum(1)


class Climb(NamedTuple):
    """What a climb ascends, where it starts, its first step in units of eps, and the rank of its target, if any."""

    loss: Loss
    start: Literal["image", "random", "best"]
    first: float = 1
    rank: int | None = None


class Pursuit(NamedTuple):
    """A model, the images and labels of a batch, the threat and random streams, and the hunt for these samples."""

    model: nn.Module
    x: Tensor
    y: Tensor
    threat: Threat
    rng: Draws
    hunt: Hunt

    def standing(self, name: str) -> tuple[Ball, Tensor, Draws]:
        """The balls, labels and random streams (of a name) of the samples that still stand."""
        rows = self.hunt.rows
        return Ball(self.x[rows], self.threat), self.y[rows], self.rng.take(rows).named(name)


def run(pursuit: Pursuit, climb: Climb, name: str, steps: int, classes: int) -> None:
    """One climb of the samples that still stand; what it finds is in the hunt."""
    model, hunt = pursuit.model, pursuit.hunt
    if not len(hunt):
        return
    ball, y, rng = pursuit.standing(name)
    x_adv = ball.random(rng, 0) if climb.start == "random" else hunt.best if climb.start == "best" else ball.x
    turns = 0 if climb.start == "image" else TURNS
    weights = 2 * rng.uniform((classes,), draw=2, dtype=ball.x.dtype) - 1
    labels = [y, y if climb.rank is None else _target(model, hunt.best, y, climb.rank), weights]
    named = 1 if climb.rank is None else 2
    for index in range(turns + steps):
        loss, known = (_weighted, 3) if index < turns else (climb.loss, named)
        logits, _, grad = ascend(model, x_adv, loss, *labels[:known])
        hunt.see(x_adv, logits, labels[0])
        keep = hunt.shrink(index)
        if keep is not None:
            x_adv, grad, ball, labels = x_adv[keep], grad[keep], ball.take(keep), [label[keep] for label in labels]
            if not len(keep):
                return
        share = 1 if index < turns else climb.first * (1 + math.cos(math.pi * (index - turns) / steps)) / 2
        x_adv = ball.step(x_adv, _tame(grad), share * ball.radius)
    with torch.no_grad():
        hunt.see(x_adv, model(x_adv), labels[0])
    hunt.shrink()


@torch.no_grad()
def _target(model: nn.Module, x_adv: Tensor, y: Tensor, rank: int) -> Tensor:
    """The other class of a rank by the logits at x_adv, 0 the likeliest; the last one where there are too few."""
    others = model(x_adv).scatter(1, y[:, None], -torch.inf)
    rank = min(rank, others.shape[1] - 2)
    return others.topk(rank + 1, dim=1).indices[:, rank]


def _tame(grad: Tensor) -> Tensor:
    """Gradients with largest entry 1 and finite, so that squares of tiny or huge ones neither vanish nor overflow."""
    grad = torch.nan_to_num(grad)
    largest = grad.abs().flatten(1).amax(1).clamp_min(torch.finfo(grad.dtype).tiny)
    return grad / per_sample(largest, grad)
