"""One hunt on the full model through several phases, each of which ascends an objective of its own."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball
from rbench.attacks._hunt import Hunt
from rbench.rng import Draws
from rbench.types import Threat

# Images [b] and their rows in the batch [b] -> what to ascend [b], and the full model's logits [b, K] if it has them.
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]


class Chase:
    """Crafts by other objectives than the full model's, and tries every iterate on the full model.

    What any phase finds counts, and a sample that has fallen is left alone by all later ones.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, threat: Threat, rng: Draws, stop: bool) -> None:
        self.ball = Ball(x, threat)
        self._model, self._y, self._rng = model, y, rng
        self._hunt = Hunt(x, stop)
        self._phases = 0

    def run(self, objective: Objective, lengths: Sequence[float], start: Tensor | None = None) -> Tensor:
        """Take steps of these lengths from `start` [B, C, H, W], or uniform points of the ball; returns their ends."""
        rows, draw = self._hunt.rows, self._phases
        self._phases += 1
        ends = self.ball.x.clone() if start is None else start.clone()
        if not len(rows):
            return ends
        ball = self.ball.take(rows)
        x_adv = ball.random(self._rng.take(rows), draw) if start is None else start[rows]
        for index, length in enumerate(lengths):
            grad, logits = _gradient(objective, x_adv, rows)
            self._look(x_adv, logits, rows)
            keep = self._hunt.shrink(index)
            if keep is not None:
                ends[rows] = x_adv
                rows = self._hunt.rows
                if not len(rows):
                    return ends
                x_adv, grad, ball = x_adv[keep], grad[keep], ball.take(keep)
            x_adv = ball.step(x_adv, grad, length)
        ends[rows] = x_adv
        self._look(x_adv, None, rows)
        self._hunt.shrink()
        return ends

    def result(self) -> Tensor:
        """The iterate of every sample that had the least margin on the full model."""
        return self._hunt.result()

    def _look(self, x_adv: Tensor, logits: Tensor | None, rows: Tensor) -> None:
        with torch.no_grad():
            self._hunt.see(x_adv, self._model(x_adv) if logits is None else logits, self._y[rows])


def cosine(radius: float, steps: int) -> list[float]:
    """Lengths that fall from the radius to 0: radius (1 + cos(pi t / steps)) / 2 for t = 0 .. steps - 1."""
    return [radius * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps)]


def _gradient(objective: Objective, x_adv: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    point = x_adv.detach().requires_grad_()
    value, logits = objective(point, rows)
    (grad,) = torch.autograd.grad(value.sum(), point)
    return grad, logits
