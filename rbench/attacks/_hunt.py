"""The bookkeeping that iterative attacks share: the best iterate of every sample, and who still stands."""

import torch
from torch import Tensor

from rbench.attacks._ball import pick

EDGE = 1e-4  # of the scale of the logits: closer to the boundary than the twin and the model as given agree
ALWAYS, EVERY = 4, 8  # most samples that fall at all fall in the first iterations; afterwards asking is not free


class Hunt:
    """The samples x [B, C, H, W] of a batch that are still being attacked, and the least-margin iterate of each.

    `rows` are the places in the batch of the samples that still stand, in order; every tensor that an attack keeps a
    sample is cut by what `shrink` returns. Without `stop` nobody is dropped: what just fools the model that is attacked
    does not carry over to another one.
    """

    def __init__(self, x: Tensor, stop: bool = True) -> None:
        self._stop = stop
        self._x_adv = x.clone()
        self._best, self._least = x, x.new_full((len(x),), torch.inf)
        self._fallen = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.rows = torch.arange(len(x), device=x.device)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best(self) -> Tensor:
        """The least-margin iterates so far of the samples that still stand."""
        return self._best

    def see(self, x_adv: Tensor, logits: Tensor, y: Tensor, inside: Tensor | None = None) -> Tensor:
        """Keep the iterates that are better than those before; returns their margins z_y - max_{k != y} z_k, [B].

        Iterates that are not `inside` [B] the ball do not count. A sample has fallen once its margin is below zero by
        more than rounding, so that the referee, who asks the model as given, will agree.
        """
        logits = logits.detach()
        own = logits.gather(1, y[:, None])[:, 0]
        margin = own - logits.scatter(1, y[:, None], -torch.inf).amax(1)
        better = margin < self._least if inside is None else (margin < self._least) & inside
        self._best = pick(better, x_adv.detach(), self._best)
        self._least = torch.where(better, margin, self._least)
        self._fallen = self._fallen | (better & (margin < -EDGE * logits.abs().amax(1)))
        return margin

    def shrink(self, iteration: int | None = None) -> Tensor | None:
        """Drop the samples that have fallen: the indices of those that stay, None if all do.

        Asked with the number of an iteration, it looks only at the first few and then at every eighth: the answer makes
        the host wait for the device.
        """
        if iteration is not None and iteration >= ALWAYS and iteration % EVERY:
            return None
        if not self._stop or not self._fallen.any():
            return None
        keep = (~self._fallen).nonzero()[:, 0]
        self._x_adv[self.rows] = self._best
        self.rows, self._best, self._least = self.rows[keep], self._best[keep], self._least[keep]
        self._fallen = self._fallen[keep]
        return keep

    def result(self) -> Tensor:
        """The best iterate of every sample of the batch that the hunt began with."""
        self._x_adv[self.rows] = self._best
        return self._x_adv
