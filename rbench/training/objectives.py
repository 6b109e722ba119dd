"""What is minimised: the views of a batch that the network sees, and the loss of its logits on them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.recipe import Recipe
from rbench.rng import Draws
from rbench.training.augmix import augmix as augmixed
from rbench.training.inner import perturb


class Objective(NamedTuple):
    """`views(model, x, y, rng)` are image batches, `loss(logits of each view, y)` a scalar.

    `shares` weigh the views where something else, such as the distillation of subnets, is added for each of them;
    `watched` is the view whose accuracy counts, in reports and for the controller. Batch norm in training normalises
    the views of a `joint` objective by the statistics of all of them together.
    """

    views: Callable[[nn.Module, Tensor, Tensor, Draws], tuple[Tensor, ...]]
    loss: Callable[[Sequence[Tensor], Tensor], Tensor]
    shares: tuple[float, ...] = (1.0,)
    watched: int = 0
    joint: bool = False

    def logits(self, network: Callable[[Tensor], Tensor], views: Sequence[Tensor]) -> list[Tensor]:
        """Logits [B, classes] of each view, by one pass or several."""
        if not self.joint:
            return [network(view) for view in views]
        return list(network(torch.cat(list(views))).chunk(len(views)))


def standard(*, recipe: Recipe) -> Objective:
    """CE(f(x), y) on clean images."""
    return Objective(lambda _model, x, _y, _rng: (x,), _cross_entropy(recipe))


def adversarial(*, recipe: Recipe) -> Objective:
    """CE(f(x'), y) on adversarial images x' of the network itself (Madry et al., ICLR 2018, equation 2.1)."""
    attack = recipe.attack
    if attack is None:
        raise UsageError(f"recipe {recipe.name!r}: adversarial training needs an [attack] with a threat.")
    return Objective(lambda model, x, y, rng: (perturb(model, x, y, attack, rng),), _cross_entropy(recipe))


def augmix(*, recipe: Recipe) -> Objective:
    """CE(f(x), y) + jsd JS(f(x), f(x1), f(x2)) on clean images x and two augmentations x1, x2 of each by AugMix.

    Hendrycks et al., ICLR 2020, section 3; the three views pass the network together, as in the authors' program.
    """
    settings = recipe.augmix
    if settings is None:
        raise UsageError(f"recipe {recipe.name!r}: the objective augmix needs an [augmix] table; it may be empty.")
    entropy = _cross_entropy(recipe)

    def views(_model: nn.Module, x: Tensor, _y: Tensor, rng: Draws) -> tuple[Tensor, ...]:
        return (x, *(augmixed(x, settings, rng.named("augmix"), draw) for draw in range(2)))

    def loss(logits: Sequence[Tensor], y: Tensor) -> Tensor:
        return entropy(logits, y) + settings.jsd * jensen_shannon(logits)

    return Objective(views, loss, shares=(1 / 3, 1 / 3, 1 / 3), joint=True)


def jensen_shannon(logits: Sequence[Tensor]) -> Tensor:
    """The mean of KL(p_v || m) in nats over views v and the batch, for p_v = softmax(logits[v]) and their mean m.

    m is at least 1e-7, as in the authors' program, so that no KL explodes. Lin, "Divergence measures based on the
    Shannon entropy", 1991.
    """
    logs = torch.stack([F.log_softmax(view, dim=1) for view in logits])
    mean = logs.exp().mean(0).clamp(min=1e-7).log()
    return (logs.exp() * (logs - mean)).sum(2).mean()


def _cross_entropy(recipe: Recipe) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    smoothing = recipe.label_smoothing
    return lambda logits, y: F.cross_entropy(logits[0], y, label_smoothing=smoothing)
