"""AutoAttack: four attacks, each on the samples that those before it left standing."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from rbench.attacks.apgd import apgd
from rbench.attacks.fab import fab
from rbench.attacks.square import square
from rbench.rng import Draws
from rbench.types import Threat

DRAWS = 20  # of a random model, for every gradient of the version "rand"
Stage = tuple[str, Callable[..., Tensor]]


def autoattack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    version: Literal["standard", "rand"] = "standard",
) -> Tensor:
    """The published budget: APGD-CE, targeted APGD-DLR, targeted FAB (9 targets each) and Square (5,000 queries).

    100 steps each, no restarts. With K < 10 classes there are K - 1 targets, and where the DLR loss is undefined (its
    targeted form below 4 classes, the other below 3) the cross-entropy takes its place. The version for random models,
    "rand", is APGD on the cross-entropy and on DLR with 20 draws a gradient. Croce and Hein, "Reliable evaluation of
    adversarial robustness with an ensemble of diverse parameter-free attacks", ICML 2020.
    """
    with torch.no_grad():
        classes = model(x[:1]).shape[1]
    x_adv, rows = x.clone(), torch.arange(len(x), device=x.device)
    for name, attack in _stages(version, classes):
        found = attack(model, x[rows], y[rows], threat, rng=rng.take(rows).named(name))
        x_adv[rows] = found
        with torch.no_grad():
            draws = DRAWS if version == "rand" else 1
            logits = torch.stack([model(found) for _ in range(draws)]).mean(0)
        rows = rows[logits.argmax(1) == y[rows]]
        if not len(rows):
            break
    return x_adv


def _stages(version: str, classes: int) -> list[Stage]:
    """The attacks of a version for a number of classes, in the order in which they run."""
    if version == "rand":
        dlr: Stage = ("apgd-dlr", partial(apgd, loss="dlr", eot=DRAWS))
        return [("apgd-ce", partial(apgd, eot=DRAWS)), *([dlr] if classes >= 3 else [])]
    loss: Literal["dlr-targeted", "ce-targeted"] = "dlr-targeted" if classes >= 4 else "ce-targeted"
    return [("apgd-ce", apgd), ("apgd-t", partial(apgd, loss=loss)), ("fab-t", fab), ("square", square)]
