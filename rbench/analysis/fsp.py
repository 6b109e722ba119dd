"""How far attacks move what each cell of a RobNet does (Guo, Yang, Xu, Liu and Lin, CVPR 2020, equation 4)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from rbench.analysis.asked import Asked
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.errors import UsageError
from rbench.models.fsp import fsp_distances
from rbench.models.robnet import RobNet
from rbench.rng import Draws

BATCH = 100


def fsp(model: nn.Module, asked: Asked) -> Iterator[dict[str, Any]]:
    """The FSP distance of each cell between images and those of PGD-20 on the network itself, and its error on both.

    Deep cells are said to move the more, the further clean and robust accuracy are apart. Raises `UsageError` for a
    network without such cells, and for a suite without a threat.
    """
    if not isinstance(model, RobNet):
        raise UsageError(f"{type(model).__name__} has no cells; FSP distances are asked of RobNets.")
    if asked.threat is None:
        raise UsageError("FSP distances compare clean with adversarial images; choose a suite with a threat.")
    sums, wrong = np.zeros(len(model.cells)), np.zeros(2)
    for ids in np.array_split(np.arange(asked.count), -(-asked.count // BATCH)):
        x, y = load_images(asked.dataset, ids, next(model.parameters()).device)
        rng = Draws(0, "analysis/pgd", torch.from_numpy(ids).to(x.device))
        x_adv = pgd(model, x, y, asked.threat, rng=rng, stop=False)
        sums += len(ids) * np.array(fsp_distances(model, x, x_adv))
        with torch.no_grad():
            wrong += [int((model(images).argmax(1) != y).sum()) for images in (x, x_adv)]
    clean, attacked = (wrong / asked.count).tolist()
    for cell, distance in enumerate((sums / asked.count).tolist()):
        yield {"cell": cell, "distance": distance, "error": clean, "attacked_error": attacked, "n": asked.count}
