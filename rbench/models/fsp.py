"""How far an attack moves what a RobNet's cells do: the distance of FSP matrices.

Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020, equations 3 and 4. FSP stands for "flow of solution
procedure" (Yim, Joo, Bae and Kim, "A gift from knowledge distillation", CVPR 2017).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.models.robnet import RobNet


def fsp_matrix(before: Tensor, after: Tensor) -> Tensor:
    """The FSP matrix [B, c, d] of features [B, c, H, W] before and [B, d, h, w] after a part of a network.

    G = (1/(h w)) sum over places of before after^T. Where the part halves the resolution, max-pooling brings `before`
    to that of `after`, as in the work of Yim et al.; the paper on RobNet does not say.
    """
    pooled = F.adaptive_max_pool2d(before, after.shape[-2:]) if before.shape[-2:] != after.shape[-2:] else before
    return pooled.flatten(2) @ after.flatten(2).mT / after[0, 0].numel()


@torch.no_grad()
def fsp_distances(model: RobNet, x: Tensor, x_adv: Tensor) -> list[float]:
    """For each cell the mean over images of ||G(x) - G(x')||^2, the squared Frobenius norm.

    `x` [B, C, H, W] are clean and `x_adv` adversarial images; before a cell is the output of the last one, after it its
    own. The network runs in the mode in which it is.
    """
    clean, adversarial = _matrices(model, x), _matrices(model, x_adv)
    gaps = [one - other for one, other in zip(clean, adversarial, strict=True)]
    return [float(gap.double().square().sum((1, 2)).mean()) for gap in gaps]


def _matrices(model: RobNet, x: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    handles = [cell.register_forward_hook(partial(_note, found)) for cell in model.cells]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _note(found: list[Tensor], _cell: nn.Module, inputs: tuple[Tensor, Tensor], out: Tensor) -> None:
    found.append(fsp_matrix(inputs[1], out))
