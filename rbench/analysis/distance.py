"""How far a network is from another one, in weights and in performance: arXiv 2307.03803, section 2.2."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from rbench.analysis.measured import Blocks, Variant, means
from rbench.analysis.shown import Shown
from rbench.errors import UsageError
from rbench.models.splits import split


def distance(
    model: nn.Module,
    x: Tensor,
    load: Callable[[str], nn.Module],
    show: Callable[[nn.Module], Shown],
    *,
    against: str,
    f_b: int,
) -> list[Variant]:
    """The pair that a bound relates: the difference of two networks' performance and the norm of that of their weights.

    `against` is the robust network (f_a*, f_b*) and f_b the number of layers of that part. `norm_f_a` and `norm_f_b`
    are L2 norms of the difference of all weights of a part, `relative` is the latter in shares of the norm of f_b*.
    Each network is attacked by itself; differences are this one's minus the other's. Raises `UsageError` for networks
    of other weights, and for a split out of range.
    """
    other = load(against).to(x.device)
    own, theirs = dict(model.named_parameters()), dict(other.named_parameters())
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in theirs.items()}:
        raise UsageError(f"{against!r} has other weights than the model; compare networks of one architecture.")
    parts = split(model, x, f_b)
    gaps = {name: own[name].detach() - theirs[name].detach() for name in own}
    norm_f_a, norm_f_b = (_norm(gaps[name] for name in part if name in gaps) for part in (parts.f_a, parts.f_b))
    whole = _norm(theirs[name].detach() for name in parts.f_b if name in theirs)
    norms = {"norm_f_a": norm_f_a, "norm_f_b": norm_f_b, "relative": norm_f_b / whole}
    return [
        Variant({"against": against, **norms}, model, partial(_difference, model.eval(), other.eval(), show(other)))
    ]


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())


def _difference(
    model: nn.Module, other: nn.Module, shown: Shown, condition: str, blocks: Blocks
) -> dict[str, float | str]:
    own, theirs = means(model, blocks), means(other, shown[condition])
    return {
        "error": own["error"],
        "against_error": theirs["error"],
        "difference": own["error"] - theirs["error"],
        "confidence_difference": own["confidence"] - theirs["confidence"],
    }
