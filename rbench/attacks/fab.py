"""The fast adaptive boundary attack: projections onto the linearised decision boundary, biased towards the image."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, l2_norm, per_sample
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import difference, targets_of
from rbench.attacks._projection import onto_hyperplane
from rbench.rng import Draws
from rbench.types import Threat

MOST_PULL = 0.1  # alpha_max: the largest weight of the projection from the image itself
OVERSHOOT = 1.05  # eta
PULL_BACK = 0.9  # beta: once across the boundary, this share of the way is kept
TINY = 1e-8

Boundary = Callable[[Tensor], tuple[Tensor, Tensor]]


def fab(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 100,
    restarts: int = 1,
    targeted: bool = True,
    targets: int = 9,
) -> Tensor:
    """Step to the linearised boundary, within the box, from the iterate and from the image, and mix the two steps.

    x_{t+1} = (1 - a) (x_t + eta d_t) + a (x + eta d_0), a = min(|d_t| / (|d_t| + |d_0|), 0.1), d being the least step
    onto {f(z) = 0} linearised at x_t; once across, back by a tenth of the way to x. `targeted` looks at one boundary at
    a time, for the `targets` most likely other classes. Restarts but the first begin at random at half of eps. A sample
    is done once an adversarial within eps is found, which is all that robust accuracy asks; otherwise x itself comes
    back. At most 2 steps forwards and steps backwards a sample, target and restart (K backwards if not targeted).
    Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020.
    """
    hunt = Hunt(x)
    kind = "ce-targeted" if targeted else "ce"  # of all targeted losses the one that two classes suffice for
    for turn, target in enumerate(targets_of(model, x, y, kind, targets)):
        for restart in range(restarts):
            rows = hunt.rows
            if not len(rows):
                break
            ball = Ball(x[rows], threat)
            draw = turn * restarts + restart
            start = ball.x + (ball.border(rng.take(rows), draw) - ball.x) / 2 if restart else ball.x
            _search(model, ball, start, y[rows], None if target is None else target[rows], hunt, steps)
    return hunt.result()


def _search(
    model: nn.Module, ball: Ball, x_adv: Tensor, y: Tensor, target: Tensor | None, hunt: Hunt, steps: int
) -> None:
    """One run of FAB on the samples that still stand; what it finds is in the hunt."""
    for index in range(steps):
        keep = hunt.shrink(index)
        if keep is not None:
            x_adv, y, ball = x_adv[keep], y[keep], ball.take(keep)
            target = target[keep] if target is not None else None
            if not len(keep):
                return
        f, w = _nearest(model, x_adv, y, ball.norm) if target is None else _boundary(model, x_adv, y, target)
        x_adv = _mix(ball, x_adv, f, w)
        with torch.no_grad():
            logits = model(x_adv)
        distance = _length(x_adv - ball.x, ball.norm)
        hunt.see(x_adv, logits, y, inside=distance.flatten() <= ball.radius)
        kept = torch.where(logits.argmax(1) != y, PULL_BACK, 1.0).to(x_adv.dtype)
        x_adv = torch.lerp(ball.x, x_adv, per_sample(kept, x_adv))
    hunt.shrink()


def _boundary(model: nn.Module, x: Tensor, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """F = z_t - z_y at x [B] and its gradient."""
    point = x.detach().requires_grad_()
    f = -difference(model(point), y, target)
    (w,) = torch.autograd.grad(f.sum(), point)
    return f.detach(), w.contiguous()


def _nearest(model: nn.Module, x: Tensor, y: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """F = z_k - z_y and its gradient for the class k whose linearised boundary is nearest, K backwards a sample."""
    point = x.detach().requires_grad_()
    z = model(point)
    f = (z - z.gather(1, y[:, None])).detach()
    own = z.gather(1, y[:, None]).sum()
    nearest, best_f, best_w = torch.full_like(f[:, 0], torch.inf), f[:, 0], torch.zeros_like(x)
    for k in range(z.shape[1]):
        (w,) = torch.autograd.grad(z[:, k].sum() - own, point, retain_graph=k + 1 < z.shape[1])
        dual = w.flatten(1).abs().sum(1) if norm == "linf" else w.flatten(1).norm(dim=1)
        away = torch.where(y == k, torch.inf, f[:, k].abs() / (dual + 1e-12))
        closer = away < nearest
        nearest, best_f = torch.where(closer, away, nearest), torch.where(closer, f[:, k], best_f)
        best_w = torch.where(per_sample(closer, x), w, best_w)
    return best_f, best_w


def _mix(ball: Ball, x_adv: Tensor, f: Tensor, w: Tensor) -> Tensor:
    """The next iterate: the steps to the plane f + w . (z - x_adv) = 0 from x_adv and from the image, mixed."""
    plane = partial(onto_hyperplane, norm=ball.threat.norm)
    flat = w.flatten(1)
    at_image = f + torch.linalg.vecdot(flat, (ball.x - x_adv).flatten(1))
    here, there = plane(x_adv.flatten(1), flat, f).view_as(x_adv), plane(ball.x.flatten(1), flat, at_image).view_as(w)
    near, far = (_length(delta, ball.norm).clamp_min(TINY) for delta in (here, there))
    pull = (near / (near + far)).clamp_max(MOST_PULL)
    mixed = torch.lerp(x_adv.add(here, alpha=OVERSHOOT), ball.x.add(there, alpha=OVERSHOOT), pull)
    return mixed.clamp_(0, 1)


def _length(delta: Tensor, norm: str) -> Tensor:
    """The norm of each sample, shaped to multiply images."""
    return per_sample(delta.flatten(1).abs().amax(1), delta) if norm == "linf" else l2_norm(delta)
