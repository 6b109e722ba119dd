"""The least step from a point of the box [0, 1] to a hyperplane that stays in the box."""

from typing import Literal

import torch
from torch import Tensor

NEWTON = 12  # steps; each passes a kink, and images that are not made for it need three or four


def onto_hyperplane(x: Tensor, w: Tensor, excess: Tensor, norm: Literal["linf", "l2"]) -> Tensor:
    """The delta [B, D] of least norm with w . delta = -excess and x + delta in [0, 1], for points x and normals w.

    delta = -sign(excess w) min(lambda u, room), u = 1 for linf and |w| for l2, where room is what the box leaves. The
    length lambda solves |w| . min(lambda u, room) = |excess|, concave and increasing in lambda: Newton's method comes
    from the left and ends at the root in finitely many steps. If the plane misses the box, delta goes to its corner.
    """
    direction = torch.where(excess[:, None] > 0, -w, w).sign_()
    room = torch.where(direction > 0, 1 - x, x)
    size, goal = w.abs(), excess.abs()[:, None]
    unit = torch.ones((), dtype=x.dtype, device=x.device) if norm == "linf" else size
    slopes = size * unit
    length = torch.zeros_like(goal)
    free = room > 0
    for _ in range(NEWTON):
        slope = (slopes * free).sum(1, keepdim=True)
        reached = (size * torch.minimum(length * unit, room)).sum(1, keepdim=True)
        # No slope left: every pixel has met the box, and a longer step changes nothing.
        length = length + torch.where(slope > 0, (goal - reached).clamp_min_(0) / slope.clamp_min(1e-30), 0)
        now = room > length * unit
        if x.device.type == "cpu" and torch.equal(now, free):
            break
        free = now
    return direction * torch.minimum(length * unit, room)
