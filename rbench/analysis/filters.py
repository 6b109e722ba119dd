"""How the weights of filters are distributed: AW-Net (arXiv 2306.03430), figures 1 and 3."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.analysis.asked import Asked
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.rng import Draws

STATIC = "static"  # the condition of filters that are the same whatever the image


def filters(model: nn.Module, asked: Asked) -> Iterator[dict[str, Any]]:
    """The mean weight of each filter of each 3x3 convolution, layer by layer as they are defined.

    Filters that a router scales (the hook `filter_scales`) are shown as they are on average over clean and, under a
    threat, over adversarial images of PGD-20; all others once, as `static`.
    """
    scales = _scales(model, asked)
    threes = [(name, part.weight) for name, part in model.named_modules() if _is_three(part)]
    for layer, (name, weight) in enumerate(threes):
        means = weight.detach().mean((1, 2, 3)).double()
        for condition, scaled in scales.get(name, {STATIC: torch.ones_like(means)}).items():
            for index, value in enumerate((means * scaled).tolist()):
                yield {"layer": layer, "filter": index, "condition": condition, "weight": value}


def _is_three(part: nn.Module) -> bool:
    return isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)


def _scales(model: nn.Module, asked: Asked) -> Mapping[str, Mapping[str, Tensor]]:
    """The mean scale of each filter by the convolution's name and by condition; nothing of a static network."""
    ask = getattr(model, "filter_scales", None)
    if not callable(ask):
        return {}
    ids = np.arange(asked.count)
    x, y = load_images(asked.dataset, ids, next(model.parameters()).device)
    shown = {"clean": x}
    if asked.threat is not None:
        rng = Draws(0, "analysis/pgd", torch.from_numpy(ids).to(x.device))
        shown["adversarial"] = pgd(model, x, y, asked.threat, rng=rng, stop=False)
    found: dict[str, dict[str, Tensor]] = {}
    with torch.no_grad():
        for condition, images in shown.items():
            for name, scale in ask(images).items():
                found.setdefault(name, {})[condition] = scale.double().mean(0)
    return found
