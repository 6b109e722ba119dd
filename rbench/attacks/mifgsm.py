"""The momentum iterative fast gradient sign method, made for transfer between models."""

from typing import Literal

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, per_sample
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import LOSSES, ascend
from rbench.rng import Draws
from rbench.types import Threat, fraction


def mifgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 20,
    rel_step: str = "1/4",
    step: str | None = None,
    decay: float = 1.0,
    start: bool = False,
    loss: Literal["ce", "margin", "probability-margin", "dlr"] = "ce",
    eot: int = 1,
    stop: bool = True,
) -> Tensor:
    """Ascend a loss by `steps` steps of length `step`, or of `rel_step` eps, along an accumulated gradient.

    g_{t+1} = decay g_t + grad / ||grad||_1 and x_{t+1} = project(x_t + step sign(g_{t+1})); for l2, along g / ||g||_2.
    A gradient of zero adds nothing and the momentum carries on. The iterate with the least margin is returned, and a
    sample that has fallen is left alone unless `stop` is false, as it is on surrogates and random models. At most
    steps + 1 forwards and steps backwards a sample and draw. Dong et al., "Boosting adversarial attacks with momentum",
    CVPR 2018, algorithm 1.
    """
    length = (
        float(fraction(step, "step")) if step is not None else float(fraction(rel_step, "rel_step")) * threat.radius
    )
    hunt, ball = Hunt(x, stop), Ball(x, threat)
    x_adv, momentum = ball.random(rng, 0) if start else x, torch.zeros_like(x)
    for index in range(steps):
        logits, _, grad = ascend(model, x_adv, LOSSES[loss], y, eot=eot)
        hunt.see(x_adv, logits, y)
        momentum = decay * momentum + _l1_unit(grad)
        keep = hunt.shrink(index)
        if keep is not None:
            y, x_adv, momentum, ball = y[keep], x_adv[keep], momentum[keep], ball.take(keep)
            if not len(keep):
                return hunt.result()
        x_adv = ball.step(x_adv, momentum.clone(), length)  # which uses up what it is given
    with torch.no_grad():
        hunt.see(x_adv, torch.stack([model(x_adv) for _ in range(eot)]).mean(0), y)
    return hunt.result()


def _l1_unit(grad: Tensor) -> Tensor:
    """Each sample's g / ||g||_1; 0 where g is 0, and entries that are not finite count as 0.

    Divided by the largest entry first, so that the sum neither overflows nor vanishes.
    """
    grad = grad.nan_to_num(0, 0, 0)
    peak = grad.abs().flatten(1).amax(1).clamp_min(torch.finfo(grad.dtype).tiny)
    scaled = grad / per_sample(peak, grad)
    return scaled / per_sample(scaled.abs().flatten(1).sum(1).clamp_min(1), grad)  # at least 1 unless g is 0
