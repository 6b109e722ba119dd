"""The fast gradient sign method: one step to the border of the ball."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.attacks._ball import Ball
from rbench.rng import Draws
from rbench.types import Threat


def fgsm(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, *, rng: Draws) -> Tensor:  # noqa: ARG001 - no start
    """One step of length eps along the steepest ascent of the cross-entropy, without a random start.

    x_adv = clip(x + eps sign(grad_x CE(f(x), y))); for l2 the gradient is normalised instead. One forward and one
    backward a sample. Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015.
    """
    point = x.detach().requires_grad_()
    loss = F.cross_entropy(model(point), y, reduction="sum")
    (grad,) = torch.autograd.grad(loss, point)
    return Ball(x, threat).step(x, grad, threat.radius)
