"""The least step from a point of the box [0, 1] to a hyperplane that stays in the box."""

from typing import Literal

import torch
from torch import Tensor

TINY = 1e-30
NEWTON = 12  # steps; each passes a kink, and images that are not made for it need three or four


def onto_hyperplane(x: Tensor, w: Tensor, excess: Tensor, norm: Literal["linf", "l2"]) -> Tensor:
    """The delta [B, D] of least norm with w . delta = -excess and x + delta in [0, 1], for points x and normals w.

    delta = -sign(excess w) min(lambda u, room), u = 1 for linf and |w| for l2, where room is what the box leaves. The
    length lambda solves |w| . min(lambda u, room) = |excess|, concave and increasing in lambda: Newton's method comes
    from the left and ends at the root in finitely many steps. If the plane misses the box, delta goes to its corner.
    """
    size, goal = w.abs(), excess.abs()
    direction = w.sign().mul_(-excess.sign()[:, None])
    room = torch.addcmul(x.new_tensor(0.5), direction, 0.5 - x)  # 1 - x or x
    unit = torch.ones((), dtype=x.dtype, device=x.device) if norm == "linf" else size
    slopes = size if norm == "linf" else size.square()
    length, before = torch.zeros_like(goal), torch.zeros_like(goal)
    for _ in range(NEWTON):
        step = torch.minimum(length[:, None] * unit, room)
        # A pixel that the box does not stop yet has room left; comparing by sign is quicker than by booleans.
        slope = torch.linalg.vecdot(slopes, (room - step).sign_())
        if x.device.type == "cpu" and torch.equal(slope, before):
            break
        # No slope left: every pixel has met the box, and a longer step changes nothing.
        gain = (goal - torch.linalg.vecdot(size, step)).clamp_min_(0) / slope.clamp_min(TINY)
        length, before = length + torch.where(slope > 0, gain, 0), slope
    return torch.minimum(length[:, None] * unit, room) * direction
