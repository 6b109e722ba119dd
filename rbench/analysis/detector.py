"""How well a router tells adversarial images from clean ones: AW-Net (arXiv 2306.03430), table V."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.analysis.asked import Asked
from rbench.attacks.fgsm import fgsm
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.statistics.intervals import paired_auc

BATCH = 100
# Table V asks about the images that an attack of so many steps hands out. With `stop` an image would be scored where it
# first fell, after a step or two, and one that is wrong from the start at its random start, which is no attack at all.
ATTACKS: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm,
    "pgd-trades": partial(pgd, steps=20, rel_step="153/1600", stop=False),  # 0.003 at eps = 8/255
    "cw30": partial(pgd, steps=30, rel_step="153/1600", loss="margin", stop=False),
}


def detector(model: nn.Module, asked: Asked) -> Iterator[dict[str, Any]]:
    """For each attack of table V the AUC, in [0, 1], of clean images against adversarial ones, with a 95% interval.

    The score of an image is how much likelier clean than adversarial the type head finds it. Attacks take all their
    steps, are on the network as it is, and aim at its classes, not at the head: an attacker who knows of the head moves
    it, too (`joint`, `routed`). Raises `UsageError` for a model without type head, and for images without a threat.
    """
    if not callable(getattr(model, "type_logits", None)):
        raise UsageError(f"{type(model).__name__} has no type head to ask; a detector has the hook 'type_logits'.")
    if asked.threat is None:
        raise UsageError("a detector is asked about adversarial images; choose a suite with a threat.")
    clean: list[Tensor] = []
    attacked: dict[str, list[Tensor]] = {name: [] for name in ATTACKS}
    device = next(model.parameters()).device
    for ids in np.array_split(np.arange(asked.count), -(-asked.count // BATCH)):
        x, y = load_images(asked.dataset, ids, device)
        clean.append(_cleanness(model, x))
        for name, attack in ATTACKS.items():
            rng = Draws(0, f"analysis/{name}", torch.from_numpy(ids).to(device))
            attacked[name].append(_cleanness(model, attack(model, x, y, asked.threat, rng=rng)))
    for name, scores in attacked.items():
        area = paired_auc(torch.cat(clean).cpu().numpy(), torch.cat(scores).cpu().numpy())
        yield {
            "attack": name,
            "auc": area.value,
            "low": area.interval.low,
            "high": area.interval.high,
            "n": asked.count,
        }


@torch.no_grad()
def _cleanness(model: nn.Module, x: Tensor) -> Tensor:
    """Log P(clean) - log P(adversarial) of images x [B, C, H, W], in double precision, where P near 1 still differ."""
    kinds: Tensor = model.type_logits(x)  # type: ignore[operator]  # checked to be a method
    return (kinds[:, 1] - kinds[:, 0]).double()
