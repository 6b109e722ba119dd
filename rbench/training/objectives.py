"""What is minimised: the views of a batch that the network sees, and the loss of its logits on them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.recipe import Recipe
from rbench.rng import Draws
from rbench.training.inner import perturb


class Objective(NamedTuple):
    """`views(model, x, y, rng)` are image batches, `loss(logits of each view, y)` a scalar.

    `shares` weigh the views where something else, such as the distillation of subnets, is added for each of them.
    """

    views: Callable[[nn.Module, Tensor, Tensor, Draws], tuple[Tensor, ...]]
    loss: Callable[[Sequence[Tensor], Tensor], Tensor]
    shares: tuple[float, ...]


def standard(*, recipe: Recipe) -> Objective:
    """CE(f(x), y) on clean images."""
    return Objective(lambda _model, x, _y, _rng: (x,), _cross_entropy(recipe), (1.0,))


def adversarial(*, recipe: Recipe) -> Objective:
    """CE(f(x'), y) on adversarial images x' of the network itself (Madry et al., ICLR 2018, equation 2.1)."""
    attack = recipe.attack
    if attack is None:
        raise UsageError(f"recipe {recipe.name!r}: adversarial training needs an [attack] with a threat.")
    return Objective(lambda model, x, y, rng: (perturb(model, x, y, attack, rng),), _cross_entropy(recipe), (1.0,))


def _cross_entropy(recipe: Recipe) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    smoothing = recipe.label_smoothing
    return lambda logits, y: F.cross_entropy(logits[0], y, label_smoothing=smoothing)
