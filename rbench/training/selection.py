"""Measuring a network on the held-out images, by which the best epoch is picked."""

from collections.abc import Callable

import torch
from torch import Tensor

from rbench.attacks.pgd import pgd
from rbench.rng import Draws
from rbench.training.batches import fetch, split
from rbench.training.modes import untracked
from rbench.training.setting import Setting


def measure(setting: Setting) -> tuple[float, float | None]:
    """Clean and, if the recipe names a threat, robust accuracy on the held-out images, in evaluation mode.

    The attack starts from the same points in every epoch and for every seed, so that epochs differ by the network only.
    """
    chosen = setting.recipe.selection
    clean = robust = 0
    with untracked(setting.model, training=False):
        for ids in split(setting.held_out, setting.recipe.batch):
            x, y, samples = fetch(setting.data, ids, setting.device)
            clean += _correct(setting.model, x, y)
            if chosen.threat is not None:
                rng = Draws(0, "train/selection", samples)
                x = pgd(setting.model, x, y, chosen.threat, rng=rng, steps=chosen.steps, rel_step=chosen.rel_step)
                robust += _correct(setting.model, x, y)
    total = len(setting.held_out)
    return clean / total, None if chosen.threat is None else robust / total


@torch.no_grad()
def _correct(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> int:
    return int((model(x).argmax(1) == y).sum())
