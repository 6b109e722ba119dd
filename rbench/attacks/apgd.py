"""Auto-PGD: projected gradient ascent that chooses its own step size."""

from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, per_sample, pick
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import LOSSES, TARGETED, Loss, ascend, targets_of
from rbench.rng import Draws
from rbench.types import Threat

MOMENTUM = 0.75
FIRST, SHORTER, SHORTEST = 0.22, 0.03, 0.06  # lengths of the periods between checkpoints, as shares of the steps


def apgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    loss: Literal["ce", "margin", "dlr", "ce-targeted", "dlr-targeted"] = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    rho: float = 0.75,
    eot: int = 1,
    stop: bool = True,
) -> Tensor:
    """Ascend a loss with momentum from eps away, halving a sample's step at checkpoints where it no longer pays.

    z = project(x_t + step sign(g)), x_{t+1} = project(x_t + 0.75 (z - x_t) + 0.25 (x_t - x_{t-1})), step = 2 eps at
    first; a targeted loss is tried for the `targets` most likely other classes in turn. A sample that has fallen is
    left alone unless `stop` is false, as it is on surrogates and random models. At most steps + 1 forwards and
    backwards a sample, target, restart and draw. Croce and Hein, "Reliable evaluation of adversarial robustness with an
    ensemble of diverse parameter-free attacks", ICML 2020, algorithm 1. Raises `UsageError` where the loss is
    undefined: below 3 classes for dlr, below 4 for dlr-targeted.
    """
    hunt = Hunt(x, stop)
    for turn, target in enumerate(targets_of(model, x, y, loss, targets)):
        for restart in range(restarts):
            rows = hunt.rows
            if not len(rows):
                break
            labels = (y[rows],) if target is None else (y[rows], target[rows])
            kind = LOSSES[loss] if target is None else TARGETED[loss]
            draw = turn * restarts + restart
            _climb(model, Ball(x[rows], threat), labels, kind, hunt, rng.take(rows), draw, steps, rho, eot)
    return hunt.result()


@dataclass
class _State:
    """What a climb keeps for each sample."""

    x_adv: Tensor
    x_old: Tensor
    grad: Tensor
    x_best: Tensor
    grad_best: Tensor
    step: Tensor
    loss: Tensor
    loss_best: Tensor
    rises: Tensor  # steps since the last checkpoint that raised the loss
    best_before: Tensor  # the best loss at the last checkpoint
    halved: Tensor  # whether the last checkpoint halved the step

    def take(self, keep: Tensor) -> "_State":
        return _State(*(getattr(self, field.name)[keep] for field in fields(self)))


def _climb(
    model: nn.Module,
    ball: Ball,
    labels: tuple[Tensor, ...],
    loss: Loss,
    hunt: Hunt,
    rng: Draws,
    draw: int,
    steps: int,
    rho: float,
    eot: int,
) -> None:
    """One run of Auto-PGD on the samples that still stand; what it finds is in the hunt."""
    x_adv = ball.border(rng, draw)
    logits, value, grad = ascend(model, x_adv, loss, *labels, eot=eot)
    hunt.see(x_adv, logits, labels[0])
    step = per_sample(torch.full_like(value, 2 * ball.radius), x_adv)
    state = _State(
        x_adv, x_adv, grad, x_adv, grad, step, value, value, torch.zeros_like(value), value, torch.ones_like(value) > 0
    )
    period = max(int(FIRST * steps), 1)
    since = 0
    for index in range(steps):
        keep = hunt.shrink(index)
        if keep is not None:
            state, ball, labels = state.take(keep), ball.take(keep), tuple(label[keep] for label in labels)
            if not len(keep):
                return
        _advance(model, ball, labels, loss, hunt, state, MOMENTUM if index else 1.0, eot)
        since += 1
        if since == period:
            _checkpoint(state, rho * period)
            period, since = max(period - max(int(SHORTER * steps), 1), int(SHORTEST * steps), 1), 0
    hunt.shrink()


def _advance(
    model: nn.Module, ball: Ball, labels: tuple[Tensor, ...], loss: Loss, hunt: Hunt, s: _State, a: float, eot: int
) -> None:
    """One step with momentum."""
    z = ball.step(s.x_adv, s.grad, s.step)
    if a < 1:
        z = ball.project(torch.lerp(s.x_adv, z, a).add_(s.x_adv, alpha=1 - a).sub_(s.x_old, alpha=1 - a))
    s.x_old, s.x_adv = s.x_adv, z
    logits, value, s.grad = ascend(model, z, loss, *labels, eot=eot)
    hunt.see(z, logits, labels[0])
    s.rises = s.rises + (value > s.loss)
    s.loss = value
    better = value > s.loss_best
    s.x_best, s.grad_best = pick(better, z, s.x_best), torch.where(per_sample(better, z), s.grad, s.grad_best)
    s.loss_best = torch.where(better, value, s.loss_best)


def _checkpoint(s: _State, enough: float) -> None:
    """Halve the steps of samples that rose too rarely, or not at all since a checkpoint that left their step alone.

    Such a sample goes on from the best point that it has seen.
    """
    halve = (s.rises <= enough) | (~s.halved & (s.best_before >= s.loss_best))
    chosen = per_sample(halve, s.x_adv)
    s.step = torch.where(chosen, s.step / 2, s.step)
    s.x_adv, s.grad = torch.where(chosen, s.x_best, s.x_adv), torch.where(chosen, s.grad_best, s.grad)
    s.rises, s.best_before, s.halved = torch.zeros_like(s.rises), s.loss_best, halve
