"""DeepFool: repeated jumps onto the nearest decision boundary of the linearised model."""

import math

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, per_sample
from rbench.attacks._hunt import EDGE, Hunt
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.types import Threat


def deepfool(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,  # noqa: ARG001 - it starts from the image itself
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
) -> Tensor:
    """Step onto the nearest linearised boundary between y and one of the classes on top, until another class wins.

    With f_k = z_k - z_y and w_k = grad f_k, x moves (1 + overshoot) times the shortest of the steps |f_k| w_k /
    ||w_k||_2^2 for l2, |f_k| sign(w_k) / ||w_k||_1 for linf, and is cut to the box. Only the `candidates` classes of
    the largest logits at the start are looked at, y among them. The walk knows no eps: an image found within eps is
    returned as it is, any other (or, if none is found, the iterate of least margin) projected into the ball, which
    under linf keeps every pixel that is near enough where scaling the perturbation would shrink all.
    At most 2 + 2 steps forwards and (candidates - 1) steps backwards a sample. Moosavi-Dezfooli, Fawzi and Frossard,
    "DeepFool: a simple and accurate method to fool deep neural networks", CVPR 2016, algorithm 2 and eq. 11.
    Raises `UsageError` for fewer than 2 candidates.
    """
    if candidates < 2:
        raise UsageError(f"candidates = {candidates} must be at least 2: the label and one class to reach.")
    hunt, x_adv = Hunt(x), x
    with torch.no_grad():
        logits = model(x)
    hunt.see(x, logits, y)
    rivals = logits.scatter(1, y[:, None], -torch.inf).topk(min(candidates, logits.shape[1]) - 1, dim=1).indices
    for _ in range(steps):
        gaps, slopes = _linearise(model, x_adv, y, rivals)
        x_adv = (x_adv + (1 + overshoot) * _crossing(gaps, slopes, threat.norm)).clamp(0, 1)
        with torch.no_grad():
            hunt.see(x_adv, model(x_adv), y)
        keep = hunt.shrink()  # asked every time: waiting for the answer costs less than a step of `candidates` passes
        if keep is not None:
            y, x_adv, rivals = y[keep], x_adv[keep], rivals[keep]
            if not len(keep):
                break
    return Ball(x, threat).project(hunt.result())


def _linearise(model: nn.Module, x: Tensor, y: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """|z_k - z_y| for each rival class k, [R, B], and the gradients of z_k - z_y, [R, B, C, H, W].

    Where a boundary is nearer than rounding can tell, the gap is rounded up: a step of length 0 would go on for ever.
    """
    point = x.detach().requires_grad_()
    logits = model(point)
    gaps = (logits.gather(1, rivals) - logits.gather(1, y[:, None])).T
    # One backward of the whole batch for each rival: batched over rivals as well (`is_grads_batched`) it was slower on
    # a CPU, and a probe would report too few passes, because hooks see all rivals as one.
    rows = [torch.autograd.grad(gap.sum(), point, retain_graph=True)[0] for gap in gaps]
    least = EDGE * logits.detach().abs().amax(1)
    return gaps.detach().abs().maximum(least), torch.stack(rows).nan_to_num_(0, 0, 0)


def _crossing(gaps: Tensor, slopes: Tensor, norm: str) -> Tensor:
    """The shortest step to a boundary, [B, C, H, W], for gaps [R, B] of slopes [R, B, C, H, W]; 0 without a slope."""
    dual = slopes.flatten(2).norm(p=1 if norm == "linf" else 2, dim=2)
    length = torch.where((dual > 0) & (dual < torch.inf), gaps / dual, torch.inf)
    nearest = length.argmin(0)
    sample = torch.arange(len(nearest), device=nearest.device)
    slope, dual, length = slopes[nearest, sample], dual[nearest, sample], length[nearest, sample]
    unit = slope.sign() if norm == "linf" else slope / per_sample(dual.clamp_min(torch.finfo(dual.dtype).tiny), slope)
    # No two images are farther apart than opposite corners of the box; and 0 times infinity would be NaN.
    return per_sample(length.clamp_max(math.sqrt(slope[0].numel())), slope) * unit
