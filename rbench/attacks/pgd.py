"""Projected gradient descent, the attack that adversarial training is measured by."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.attacks._ball import Ball, margin, per_sample
from rbench.rng import Draws
from rbench.types import Threat, fraction


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 20,
    rel_step: str = "1/4",
    restarts: int = 1,
    start: bool = True,
) -> Tensor:
    """Ascend the cross-entropy by `steps` steps of length `rel_step` eps, from a uniform start in the ball.

    x_{t+1} = project(x_t + step sign(grad CE(f(x_t), y))). Of all iterates of all restarts the one with the least
    margin is returned, so nothing that was found is lost. steps + 1 forwards and steps backwards a sample and restart.
    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
    """
    ball, step = Ball(x, threat), float(fraction(rel_step, "rel_step")) * threat.radius
    best, least = x, torch.full_like(y, torch.inf, dtype=x.dtype)
    for restart in range(restarts):
        x_adv = ball.random(rng, restart) if start else x
        for index in range(steps + 1):
            last = index == steps
            point = x_adv.detach().requires_grad_(not last)
            logits = model(point)
            found = margin(logits.detach(), y)
            better = found < least
            best = torch.where(per_sample(better, x), x_adv, best)
            least = torch.where(better, found, least)
            if last:
                break
            (grad,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), point)
            x_adv = ball.step(x_adv, grad, step)
    return best
