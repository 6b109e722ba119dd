"""The geometry that attacks share: steepest steps, projections and starts in the ball of the threat."""

import torch
from torch import Tensor

from rbench.rng import Draws
from rbench.types import Threat


def per_sample(values: Tensor, x: Tensor) -> Tensor:
    """Values [B] shaped to multiply images [B, C, H, W]."""
    return values.view(-1, *[1] * (x.dim() - 1))


def l2_norm(delta: Tensor) -> Tensor:
    """The Euclidean norm of each sample, shaped to divide images."""
    return per_sample(delta.flatten(1).norm(dim=1), delta)


def steepest(grad: Tensor, threat: Threat) -> Tensor:
    """The direction of norm 1 that ascends fastest: sign(g) for linf, g/||g|| for l2 (0 where g is 0)."""
    if threat.norm == "linf":
        return grad.sign()
    return grad / l2_norm(grad).clamp_min(torch.finfo(grad.dtype).tiny)


def project(x_adv: Tensor, x: Tensor, threat: Threat) -> Tensor:
    """The nearest point of the ball around x, cut to the box [0, 1]."""
    if threat.norm == "linf":
        return torch.clamp(torch.clamp(x_adv, x - threat.radius, x + threat.radius), 0, 1)
    delta = x_adv - x
    shrink = (threat.radius / l2_norm(delta).clamp_min(torch.finfo(x.dtype).tiny)).clamp_max(1)
    return torch.clamp(x + delta * shrink, 0, 1)  # cutting to a box that holds x never lengthens delta


def random_start(x: Tensor, threat: Threat, rng: Draws, draw: int) -> Tensor:
    """A uniform point of the ball around x, cut to the box [0, 1]."""
    shape = x.shape[1:]
    if threat.norm == "linf":
        delta = (2 * rng.uniform(shape, draw=draw, dtype=x.dtype) - 1) * threat.radius
    else:
        direction = rng.normal(shape, draw=2 * draw, dtype=x.dtype)
        share = rng.uniform((1,), draw=2 * draw + 1, dtype=x.dtype)[:, 0] ** (1 / shape.numel())
        delta = direction / l2_norm(direction) * per_sample(share, x) * threat.radius
    return project(x + delta, x, threat)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max_{k != y} z_k for each sample [B]; at most 0 once the sample is (or ties to be) misclassified."""
    own = logits.gather(1, y[:, None])[:, 0]
    return own - logits.scatter(1, y[:, None], -torch.inf).amax(1)
