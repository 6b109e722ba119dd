"""Measuring a network on the held-out images, by which the best epoch is picked."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rbench.attacks.pgd import pgd
from rbench.rng import Draws
from rbench.training.batches import fetch, split
from rbench.training.modes import untracked
from rbench.training.setting import Setting


def measure(setting: Setting, other: nn.Module | None = None) -> tuple[float, float | None]:
    """Clean and, if the recipe names a threat, robust accuracy on the held-out images, in evaluation mode and float32.

    The attack starts from the same points in every epoch and for every seed, so that epochs differ by the network only.
    Ranks share the images. An `other` network may be measured in the place of the one that is trained.
    """
    chosen, model = setting.recipe.selection, setting.model if other is None else other
    right = torch.zeros(2, dtype=torch.float64, device=setting.device)
    with untracked(model, training=False):
        for ids in split(setting.held_out, setting.recipe.batch):
            for part in setting.parts(ids):
                x, y, samples, _ = fetch(setting.data, part).to(setting.device)
                right[0] += _correct(model, x, y)
                if chosen.threat is not None:
                    rng = Draws(0, "train/selection", samples)
                    x = pgd(model, x, y, chosen.threat, rng=rng, steps=chosen.steps, rel_step=chosen.rel_step)
                    right[1] += _correct(model, x, y)
    clean, robust = (setting.ranks.total(right) / len(setting.held_out)).tolist()
    return clean, None if chosen.threat is None else robust


@torch.no_grad()
def _correct(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    return (model(x).argmax(1) == y).sum()
