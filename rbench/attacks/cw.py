"""Carlini and Wagner's L2 attack: the nearest image that the model takes for another class."""

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, margin, per_sample
from rbench.attacks._hunt import EDGE
from rbench.rng import Draws
from rbench.types import Threat

INSIDE = 1 - 1e-3  # of the way from 0.5 to 0 or 1: where tanh is flat, at the ends, a pixel would never move
WINDOWS, PROGRESS = 10, 1e-4  # a search ends when a tenth of its steps lowers the objective by less than this share


def cw(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,  # noqa: ARG001 - it starts from the image itself
    steps: int = 1000,
    lr: float = 0.01,
    searches: int = 9,
    constant: float = 1e-3,
    confidence: float = 0.0,
) -> Tensor:
    """Minimise ||x' - x||_2^2 + c max(z_y - max_{k != y} z_k + confidence, 0) by Adam over w, x' = (tanh w + 1) / 2.

    The weight c of each sample starts at `constant` and is searched for in rounds: ten times as much until the sample
    falls, then halfway between the largest c that failed and the least that succeeded. A sample leaves a round early
    when its objective stops falling. The nearest success is returned if it is within eps; if not (as is common under
    linf, where too the L2 distance is minimised), the point of least margin among the iterates within eps and the
    nearest success projected into the ball. At most steps searches + 1 forwards and steps searches backwards a sample.
    Carlini and Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P 2017, section VI.A; the
    defaults are those of the authors' code, but for 1,000 steps in place of 10,000.
    """
    finds, c = _Finds(x, threat), x.new_full((len(x),), constant)
    low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
    for _ in range(searches):
        fell = _descend(model, x, y, c, finds, steps=steps, lr=lr, confidence=confidence)
        low, high = torch.where(fell, low, c), torch.where(fell, c, high)
        c = torch.where(high.isinf(), 10 * c, (low + high) / 2)
    return finds.result(model, y)


def _descend(
    model: nn.Module, x: Tensor, y: Tensor, c: Tensor, finds: "_Finds", *, steps: int, lr: float, confidence: float
) -> Tensor:
    """One round with fixed weights c [B], told to `finds`; says of every sample whether it fell, [B]."""
    rows, fell = torch.arange(len(x), device=x.device), torch.zeros_like(y, dtype=torch.bool)
    adam, before = _Adam(torch.atanh((2 * x - 1) * INSIDE), lr), torch.full_like(c, torch.inf)
    for index in range(steps):
        w = adam.w.detach().requires_grad_()
        image = (w.tanh() + 1) / 2
        logits = model(image)
        gap = margin(logits, y)
        edge = EDGE * logits.detach().abs().amax(1)  # beyond the boundary by more than rounding, as the referee asks
        square = (image - x).flatten(1).square().sum(1)
        objective = square + c * (gap + confidence + 2 * edge).relu()
        (grad,) = torch.autograd.grad(objective.sum(), w)
        success = (gap + confidence < -edge).detach()
        fell[rows] |= success
        finds.see(rows, image.detach(), square.detach(), gap.detach(), success)
        adam.step(grad)
        if index % max(steps // WINDOWS, 1) == 0:
            now = objective.detach()
            keep = (now < (1 - PROGRESS) * before).nonzero()[:, 0]
            if not len(keep):
                break
            rows, x, y, c, before = rows[keep], x[keep], y[keep], c[keep], now[keep]
            adam.take(keep)
    return fell


class _Adam:
    """Kingma and Ba's Adam (ICLR 2015) of variables w [B, ...], in which samples can be dropped on the way."""

    def __init__(self, w: Tensor, lr: float) -> None:
        self.w, self._lr, self._steps = w, lr, 0
        self._mean, self._square = torch.zeros_like(w), torch.zeros_like(w)

    def take(self, rows: Tensor) -> None:
        self.w, self._mean, self._square = self.w[rows], self._mean[rows], self._square[rows]

    def step(self, grad: Tensor) -> None:
        grad = grad.nan_to_num(0, 0, 0)  # one NaN would stay in the means for ever
        self._steps += 1
        self._mean = self._mean.lerp(grad, 0.1)
        self._square = self._square.lerp(grad.square(), 0.001)
        mean, square = self._mean / (1 - 0.9**self._steps), self._square / (1 - 0.999**self._steps)
        self.w = self.w - self._lr * mean / (square.sqrt() + 1e-8)


class _Finds:
    """Of every image x [B, C, H, W], the nearest success and the point of least margin in the ball."""

    def __init__(self, x: Tensor, threat: Threat) -> None:
        self._ball = Ball(x, threat)
        self._nearest, self._square = x.clone(), x.new_full((len(x),), torch.inf)
        self._inside, self._margin = x.clone(), x.new_full((len(x),), torch.inf)

    def see(self, rows: Tensor, image: Tensor, square: Tensor, gap: Tensor, success: Tensor) -> None:
        """Take note of an iterate of some rows: its squared L2 distance, its margin and whether it is a success."""
        nearer = success & (square < self._square[rows])
        self._square[rows] = torch.where(nearer, square, self._square[rows])
        self._nearest[rows] = torch.where(per_sample(nearer, image), image, self._nearest[rows])
        better = self._in_ball(image, rows) & (gap < self._margin[rows])
        self._margin[rows] = torch.where(better, gap, self._margin[rows])
        self._inside[rows] = torch.where(per_sample(better, image), image, self._inside[rows])

    def result(self, model: nn.Module, y: Tensor) -> Tensor:
        """The nearest success if it is in the ball, else the better of that projected and the least margin inside."""
        pushed = self._ball.project(self._nearest)
        with torch.no_grad():
            gap = margin(model(pushed), y)
        everyone = torch.arange(len(y), device=y.device)
        chosen = self._square.isfinite() & self._in_ball(self._nearest, everyone) | (gap < self._margin)
        return torch.where(per_sample(chosen, pushed), pushed, self._inside)

    def _in_ball(self, image: Tensor, rows: Tensor) -> Tensor:
        order = torch.inf if self._ball.norm == "linf" else 2
        return (image - self._ball.x[rows]).flatten(1).norm(p=order, dim=1) <= self._ball.radius
