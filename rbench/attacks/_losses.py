"""What attacks ascend: losses of logits z [B, K] and labels y [B], one value a sample [B]."""

from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rbench.attacks._ball import margin
from rbench.errors import UsageError

Loss = Callable[..., Tensor]
TINY = 1e-12


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """-log softmax(z)_y."""
    return F.cross_entropy(z, y, reduction="none")


def negative_margin(z: Tensor, y: Tensor) -> Tensor:
    """max_{k != y} z_k - z_y: Carlini and Wagner's f6 without confidence (IEEE S&P 2017)."""
    return -margin(z, y)


def probability_margin(z: Tensor, y: Tensor) -> Tensor:
    """max_{k != y} p_k - p_y with p = softmax(z) (PMA, arXiv 2411.15210)."""
    return -margin(z.softmax(1), y)


def dlr(z: Tensor, y: Tensor) -> Tensor:
    """-(z_y - max_{k != y} z_k) / (z_(1) - z_(3)), invariant to shift and scale; needs 3 classes.

    z_(1) >= z_(2) >= ... are the sorted logits. Croce and Hein, ICML 2020, eq. 6.
    """
    top = z.topk(3, dim=1).values
    return -margin(z, y) / (top[:, 0] - top[:, 2] + TINY)


def dlr_targeted(z: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2) for targets t [B]; needs 4 classes. Croce and Hein, eq. 7."""
    top = z.topk(4, dim=1).values
    return -difference(z, y, target) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + TINY)


def cross_entropy_targeted(z: Tensor, y: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001 - one signature for all
    """Log softmax(z)_t for targets t [B]; defined from two classes on."""
    return -F.cross_entropy(z, target, reduction="none")


def difference(z: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """z_y - z_t, shape [B]."""
    return (z.gather(1, y[:, None]) - z.gather(1, target[:, None]))[:, 0]


def ascend(
    model: Callable[[Tensor], Tensor], x: Tensor, loss: Callable[..., Tensor], *labels: Tensor, eot: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """The logits, the loss(logits, *labels) of each sample and its gradient at images x, without gradients of weights.

    With `eot` > 1 all three are means over that many draws of a random model (expectation over transformation; Athalye
    et al., ICML 2018).
    """
    total: tuple[Tensor, ...] = ()
    for _ in range(eot):
        point = x.detach().requires_grad_()
        logits = model(point)
        value = loss(logits, *labels)
        (grad,) = torch.autograd.grad(value.sum(), point)
        # Gradients come in the layout of the twin's weights; steps in one layout cost a third of those that mix two.
        new = logits.detach(), value.detach(), grad.contiguous()
        total = tuple(a + b for a, b in zip(total, new, strict=True)) if total else new
    z, value, grad = (part / eot for part in total) if eot > 1 else total
    return z, value, grad


def targets_of(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: str, count: int
) -> Iterator[Tensor | None]:
    """The targets [B] of a targeted loss in turn, most likely class first; a lone None for other losses.

    Raises `UsageError` for a loss that the number of classes leaves undefined, and for a single class.
    """
    with torch.no_grad():
        z = model(x if loss in TARGETED else x[:1])
    classes = z.shape[1]
    if classes < FEWEST.get(loss, 2):
        raise UsageError(f"the loss {loss!r} needs at least {FEWEST.get(loss, 2)} classes, the model has {classes}.")
    if loss not in TARGETED:
        yield None
        return
    ranked = z.scatter(1, y[:, None], -torch.inf).topk(min(count, classes - 1), dim=1).indices
    yield from ranked.unbind(1)


LOSSES: Mapping[str, Loss] = {
    "ce": cross_entropy,
    "margin": negative_margin,
    "probability-margin": probability_margin,
    "dlr": dlr,
}
TARGETED: Mapping[str, Loss] = {"ce-targeted": cross_entropy_targeted, "dlr-targeted": dlr_targeted}
FEWEST: Mapping[str, int] = {"dlr": 3, "dlr-targeted": 4}
