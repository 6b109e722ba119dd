"""Projected gradient descent, the attack that adversarial training is measured by."""

from typing import Literal

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import LOSSES, ascend
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
    step: str | None = None,
    loss: Literal["ce", "margin", "probability-margin", "dlr"] = "ce",
    restarts: int = 1,
    start: bool = True,
    eot: int = 1,
    stop: bool = True,
) -> Tensor:
    """Ascend a loss by `steps` steps of length `step`, or of `rel_step` eps, from a uniform start in the ball.

    x_{t+1} = project(x_t + step sign(grad CE(f(x_t), y))). Of all iterates of all restarts the one with the least
    margin is returned, so nothing that was found is lost, and a sample that has fallen is left alone unless `stop` is
    false, as it is on surrogates and random models. At most steps + 1 forwards and steps backwards a sample, restart
    and draw. `loss = "margin"` is the L-inf version of Carlini and Wagner's attack that tables call CW-k. Madry et al.,
    "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
    """
    length = (
        float(fraction(step, "step")) if step is not None else float(fraction(rel_step, "rel_step")) * threat.radius
    )
    hunt = Hunt(x, stop)
    for restart in range(restarts):
        rows = hunt.rows
        x_now, y_now = (x, y) if len(rows) == len(x) else (x[rows], y[rows])
        ball = Ball(x_now, threat)
        x_adv = ball.random(rng.take(rows), restart) if start else x_now
        for index in range(steps):
            logits, _, grad = ascend(model, x_adv, LOSSES[loss], y_now, eot=eot)
            hunt.see(x_adv, logits, y_now)
            keep = hunt.shrink(index)
            if keep is not None:
                y_now, x_adv, grad, ball = y_now[keep], x_adv[keep], grad[keep], ball.take(keep)
                if not len(keep):
                    return hunt.result()
            x_adv = ball.step(x_adv, grad, length)
        with torch.no_grad():
            hunt.see(x_adv, torch.stack([model(x_adv) for _ in range(eot)]).mean(0), y_now)
        hunt.shrink()
        if not len(hunt):
            break
    return hunt.result()
