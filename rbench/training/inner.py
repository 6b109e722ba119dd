"""The attack inside adversarial training."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.attacks._ball import Ball
from rbench.recipe import InnerAttack
from rbench.rng import Draws
from rbench.training.modes import untracked
from rbench.types import fraction

SPREAD = 1e-3  # of the normal start of TRADES


def perturb(model: nn.Module, x: Tensor, y: Tensor, attack: InnerAttack, rng: Draws) -> Tensor:
    """The last iterate of PGD on the attack's loss, for images [B, C, H, W] in [0, 1].

    `rbench.attacks.pgd` keeps the iterate of least margin, which serves a measurement: nothing that was found is lost.
    Training wants the approximate maximiser of the loss, the last iterate (Madry et al., ICLR 2018, section 2.1), and
    is spared the bookkeeping. Its forwards leave batch norm's running statistics alone, so that these describe the
    images that the network is fitted to and not the steps on the way there.
    """
    step = float(fraction(attack.rel_step, "attack.rel_step")) * attack.threat.radius
    ball = Ball(x, attack.threat)
    with untracked(model, training=attack.mode == "train"):
        loss = _divergence(model, x) if attack.loss == "kl" else _cross_entropy(y)
        if attack.start == "uniform":
            x_adv = ball.random(rng, 0)
        else:
            x_adv = ball.project(x + SPREAD * rng.normal(x.shape[1:], dtype=x.dtype))
        for _ in range(attack.steps):
            point = x_adv.requires_grad_()
            (grad,) = torch.autograd.grad(loss(model(point)), point)
            x_adv = ball.step(point.detach(), grad, step)
    return x_adv.detach()


def _cross_entropy(y: Tensor) -> Callable[[Tensor], Tensor]:
    """CE(f(x'), y), summed over the batch."""
    return lambda logits: F.cross_entropy(logits, y, reduction="sum")


def _divergence(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """KL(f(x) || f(x')), summed over the batch (Zhang et al., "Theoretically principled trade-off", ICML 2019)."""
    with torch.no_grad():
        target = F.log_softmax(model(x), dim=1)
    return lambda logits: F.kl_div(F.log_softmax(logits, dim=1), target, reduction="sum", log_target=True)
