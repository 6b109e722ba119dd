"""The geometry that attacks share: steepest steps, projections and starts in the ball of the threat."""

import torch
from torch import Tensor

from rbench.rng import Draws
from rbench.types import Threat


class Ball:
    """The images within eps of images x [B, C, H, W] and in the box [0, 1]."""

    def __init__(self, x: Tensor, threat: Threat) -> None:
        self.x, self.threat, self.norm, self.radius = x, threat, threat.norm, threat.radius
        self._tiny, self._huge = torch.finfo(x.dtype).tiny, torch.finfo(x.dtype).max
        if self.norm == "linf":  # ball and box are one box, computed once for all steps
            self._low, self._high = (x - self.radius).clamp_min_(0), (x + self.radius).clamp_max_(1)

    def take(self, rows: Tensor) -> "Ball":
        """The balls around some of the images."""
        return Ball(self.x[rows], self.threat)

    def project(self, x_adv: Tensor) -> Tensor:
        """The nearest point of the ball, cut to the box."""
        if self.norm == "linf":
            return torch.clamp(x_adv, self._low, self._high)
        delta = x_adv - self.x
        shrink = (self.radius / l2_norm(delta).clamp_min_(self._tiny)).clamp_max_(1)
        return torch.clamp(self.x + delta * shrink, 0, 1)  # cutting to a box that holds x never lengthens delta

    def step(self, x_adv: Tensor, grad: Tensor, length: float | Tensor) -> Tensor:
        """A step along the direction of norm 1 that ascends fastest, sign(g) or g/||g|| (0 where g is 0), projected.

        A length is one number, or one a sample, shaped to multiply images.
        """
        if self.norm == "l2":
            scale = (length / l2_norm(grad).clamp_min_(self._tiny)).clamp_max_(self._huge)  # 0 inf is no step
            return self.project(torch.addcmul(x_adv, grad, scale))
        if isinstance(length, float):
            return torch.add(x_adv, grad.sign(), alpha=length).clamp_(self._low, self._high)
        return torch.addcmul(x_adv, grad.sign(), length).clamp_(self._low, self._high)

    def border(self, rng: Draws, draw: int) -> Tensor:
        """A random point at distance eps, cut to the box: uniform noise over its largest entry, or normal noise."""
        shape, dtype = self.x.shape[1:], self.x.dtype
        if self.norm == "linf":
            noise = 2 * rng.uniform(shape, draw=draw, dtype=dtype) - 1
            length = per_sample(noise.abs().flatten(1).amax(1), noise)
        else:
            noise = rng.normal(shape, draw=draw, dtype=dtype)
            length = l2_norm(noise)
        return self.project(self.x + self.radius * noise / length.clamp_min_(self._tiny))

    def random(self, rng: Draws, draw: int) -> Tensor:
        """A uniform point of the ball around x, cut to the box."""
        shape, dtype = self.x.shape[1:], self.x.dtype
        if self.norm == "linf":
            delta = (2 * rng.uniform(shape, draw=draw, dtype=dtype) - 1) * self.radius
        else:
            direction = rng.normal(shape, draw=2 * draw, dtype=dtype)
            share = rng.uniform((1,), draw=2 * draw + 1, dtype=dtype)[:, 0] ** (1 / shape.numel())
            delta = direction / l2_norm(direction) * per_sample(share, self.x) * self.radius
        return self.project(self.x + delta)


def per_sample(values: Tensor, x: Tensor) -> Tensor:
    """Values [B] shaped to multiply images [B, C, H, W]."""
    return values.view(-1, *[1] * (x.dim() - 1))


def pick(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    """The `chosen` images where mask [B], the `other` elsewhere; of finite numbers, exactly.

    lerp at weights 0 and 1 gives its ends to the bit, and is four times as quick on a CPU as where.
    """
    return torch.lerp(other, chosen, per_sample(mask.to(other.dtype), other))


def l2_norm(delta: Tensor) -> Tensor:
    """The Euclidean norm of each sample, shaped to divide images."""
    return per_sample(delta.flatten(1).norm(dim=1), delta)


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max_{k != y} z_k for each sample [B]; at most 0 once the sample is (or ties to be) misclassified."""
    own = logits.gather(1, y[:, None])[:, 0]
    return own - logits.scatter(1, y[:, None], -torch.inf).amax(1)
