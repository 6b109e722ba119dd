"""What is minimised: the views of a batch that the network sees, and the loss of its logits on them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.recipe import InnerAttack, Recipe
from rbench.rng import Draws
from rbench.training.batches import Batch
from rbench.training.inner import perturb


class Taught(NamedTuple):
    """Who teaches: a model of the catalog, or code that builds one; with `weights`, a file, in the place of its own."""

    model: str
    weights: str | None = None


class Memory(Protocol):
    """What an objective learns from its own losses, from step to step; the same on all ranks.

    `note` hears of every part of a batch what its loss was made of, and the part's share of the batch; `noted` is the
    sum of what was noted since it was last asked; `learn` gets it for the whole batch, and the learning rate as a share
    of the highest one.
    """

    def note(self, logits: Sequence[Tensor], share: float) -> None: ...  # noqa: D102
    def noted(self, device: torch.device) -> Tensor: ...  # noqa: D102
    def learn(self, noted: Tensor, pace: float) -> None: ...  # noqa: D102
    def state(self) -> dict[str, Any]: ...  # noqa: D102
    def restore(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


class Objective(NamedTuple):
    """`views(model, batch, rng)` are batches of images, `loss(logits of each view, y)` a scalar.

    `shares` weigh the views where something else, such as the distillation of subnets, is added for each of them;
    `watched` is the view whose accuracy counts, in reports and for the controller. Batch norm in training normalises
    the views of a `joint` objective by the statistics of all of them together. `uses` are the tables of the recipe
    that it reads: others that only objectives read are refused, lest they be thought to do something. `clean` says of
    each view whether its images are clean, for networks that keep them apart from adversarial ones. Where each view has
    one of the `teachers`, the loss gets their logits, too, after those of the network. `memory` changes as it learns.
    """

    views: Callable[[nn.Module, Batch, Draws], tuple[Tensor, ...]]
    loss: Callable[[Sequence[Tensor], Tensor], Tensor]
    shares: tuple[float, ...] = (1.0,)
    watched: int = 0
    joint: bool = False
    uses: tuple[str, ...] = ()
    clean: tuple[bool, ...] = (True,)
    teachers: tuple[Taught, ...] = ()
    memory: Memory | None = None

    def logits(self, network: Callable[[Tensor], Tensor], views: Sequence[Tensor]) -> list[Tensor]:
        """Logits [B, classes] of each view, by one pass or several."""
        if not self.joint:
            return [network(view) for view in views]
        return list(network(torch.cat(list(views))).chunk(len(views)))


def standard(*, recipe: Recipe) -> Objective:
    """CE(f(x), y) on clean images."""
    return Objective(lambda _model, batch, _rng: (batch.x,), _cross_entropy(recipe))


def adversarial(*, recipe: Recipe, gamma: float = 0.0) -> Objective:
    """Gamma CE(f(x), y) + CE(f(x'), y) on clean images x and adversarial ones x' of the network itself.

    Madry et al., ICLR 2018, equation 2.1, at gamma = 0, where clean images are not seen; in general Guo, Stutz and
    Schiele, ECCV 2022, equation 3.
    """
    attack = attack_of(recipe, "adversarial training")
    entropy = _cross_entropy(recipe)
    if gamma < 0:
        raise UsageError(f"recipe {recipe.name!r}: gamma = {gamma} must be at least 0.")
    if gamma == 0:
        return Objective(
            lambda model, batch, rng: (perturb(model, batch.x, batch.y, attack, rng),),
            entropy,
            uses=("attack",),
            clean=(False,),
        )
    return Objective(
        lambda model, batch, rng: (batch.x, perturb(model, batch.x, batch.y, attack, rng)),
        lambda logits, y: gamma * entropy(logits[:1], y) + entropy(logits[1:], y),
        shares=(gamma, 1.0),
        watched=1,
        uses=("attack",),
        clean=(True, False),
    )


def trades(*, recipe: Recipe, beta: float = 6.0) -> Objective:
    """CE(f(x), y) + beta KL(f(x) || f(x')); gradients flow through both sides of the divergence.

    Zhang et al., "Theoretically principled trade-off between robustness and accuracy", ICML 2019, equation 5. It is
    beta times the form of Guo, Stutz and Schiele (ECCV 2022, equations 3 and 4) at gamma = 1/beta.
    """
    attack = attack_of(recipe, "TRADES")
    entropy = _cross_entropy(recipe)
    if beta <= 0:
        raise UsageError(f"recipe {recipe.name!r}: beta = {beta} must be greater than 0.")
    return Objective(
        lambda model, batch, rng: (batch.x, perturb(model, batch.x, batch.y, attack, rng)),
        lambda logits, y: entropy(logits, y) + beta * divergence(logits[0], logits[1]),
        shares=(1.0, beta),
        watched=1,
        uses=("attack",),
        clean=(True, False),
    )


def augmix(*, recipe: Recipe) -> Objective:
    """CE(f(x), y) + jsd JS(f(x), f(x1), f(x2)) on clean images x and two augmentations x1, x2 of each by AugMix.

    Hendrycks et al., ICLR 2020, section 3; the three views pass the network together, as in the authors' program.
    """
    settings = recipe.augmix
    if settings is None:
        raise UsageError(f"recipe {recipe.name!r}: the objective augmix needs an [augmix] table; it may be empty.")
    entropy = _cross_entropy(recipe)

    def loss(logits: Sequence[Tensor], y: Tensor) -> Tensor:
        return entropy(logits, y) + settings.jsd * jensen_shannon(logits)

    return Objective(
        lambda _model, batch, _rng: (batch.x, *batch.mixed),
        loss,
        shares=(1 / 3, 1 / 3, 1 / 3),
        joint=True,
        uses=("augmix",),
        clean=(True, True, True),
    )


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(softmax(p) || softmax(q)) in nats of logits [B, classes], averaged over the batch."""
    target = F.log_softmax(p, dim=1)
    return F.kl_div(F.log_softmax(q, dim=1), target, reduction="batchmean", log_target=True)


def jensen_shannon(logits: Sequence[Tensor]) -> Tensor:
    """The mean of KL(p_v || m) in nats over views v and the batch, for p_v = softmax(logits[v]) and their mean m.

    m is at least 1e-7, as in the authors' program, so that no KL explodes. Lin, "Divergence measures based on the
    Shannon entropy", 1991.
    """
    logs = torch.stack([F.log_softmax(view, dim=1) for view in logits])
    mean = logs.exp().mean(0).clamp(min=1e-7).log()
    return (logs.exp() * (logs - mean)).sum(2).mean()


def attack_of(recipe: Recipe, what: str) -> InnerAttack:
    """The inner attack of a recipe; raises `UsageError` if `what` is asked for and there is none."""
    if recipe.attack is None:
        raise UsageError(f"recipe {recipe.name!r}: {what} needs an [attack] with a threat.")
    return recipe.attack


def _cross_entropy(recipe: Recipe) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    smoothing = recipe.label_smoothing
    return lambda logits, y: F.cross_entropy(logits[0], y, label_smoothing=smoothing)
