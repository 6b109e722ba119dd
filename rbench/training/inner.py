"""The attack inside adversarial training."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.attacks._ball import Ball
from rbench.recipe import InnerAttack
from rbench.rng import Draws
from rbench.training.modes import untracked
from rbench.types import fraction


def perturb(model: nn.Module, x: Tensor, y: Tensor, attack: InnerAttack, rng: Draws) -> Tensor:
    """The last iterate of PGD on the cross-entropy from a uniform start, for images [B, C, H, W] in [0, 1].

    `rbench.attacks.pgd` keeps the iterate of least margin, which serves a measurement: nothing that was found is lost.
    Training wants the approximate maximiser of the loss, the last iterate (Madry et al., ICLR 2018, section 2.1), and
    is spared the bookkeeping. Its forwards leave batch norm's running statistics alone, so that these describe the
    images that the network is fitted to and not the steps on the way there.
    """
    step = float(fraction(attack.rel_step, "attack.rel_step")) * attack.threat.radius
    ball = Ball(x, attack.threat)
    with untracked(model, training=attack.mode == "train"):
        x_adv = ball.random(rng, 0)
        for _ in range(attack.steps):
            point = x_adv.requires_grad_()
            (grad,) = torch.autograd.grad(F.cross_entropy(model(point), y, reduction="sum"), point)
            x_adv = ball.step(point.detach(), grad, step)
    return x_adv.detach()
