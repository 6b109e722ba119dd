"""The judge of every attack: recomputes what an attack returns, on the model as given, and refuses cheating."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rbench.errors import AttackError, ModelError, RbenchError
from rbench.rng import seeded
from rbench.types import Threat

COMPANY = 1e-3  # of the scale of logits: more than rounding, between a sample alone and in company


class Verdict(NamedTuple):
    """For each sample: the class predicted, the margin z_y - max_{k != y} z_k, the distance in the threat's norm."""

    pred: Tensor
    margin: Tensor
    distance: Tensor


class Witness:
    """Remembers a model's parameters, buffers and training flags, to notice if anything changes them."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._state = {name: value.detach().clone() for name, value in model.state_dict(keep_vars=True).items()}
        self._training = [module.training for module in model.modules()]

    def check(self, during: str, error: type[RbenchError] = ModelError) -> None:
        """Raise an error if anything has changed since."""
        state = self._model.state_dict()
        changed = [n for n, v in self._state.items() if n not in state or not torch.equal(v, state[n])]
        changed += sorted(state.keys() - self._state.keys())
        if changed:
            raise error(f"the model's {changed[0]!r} changed while {during}; its state must be fixed.", code="RB107")
        if self._training != [module.training for module in self._model.modules()]:
            raise error(f"the model's training flag changed while {during}; leave it in eval mode.", code="RB107")


@torch.no_grad()
def logits_of(model: nn.Module, x: Tensor, classes: int) -> Tensor:
    """The logits [B, classes] of images, checked: right shape, finite, and not probabilities.

    Raises `ModelError` with the remedy.
    """
    try:
        with torch.autocast(x.device.type, enabled=False):
            logits = model(x)
    except Exception as error:
        raise ModelError(
            f"the model fails on images {list(x.shape)} of {x.dtype}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(logits, Tensor):
        raise ModelError(f"the model returned {type(logits).__name__}, not a tensor of logits [B, {classes}].")
    if logits.shape != (len(x), classes):
        raise ModelError(f"the model returned shape {list(logits.shape)}; this dataset needs [{len(x)}, {classes}].")
    if not torch.isfinite(logits).all():
        row = int((~torch.isfinite(logits)).any(1).nonzero()[0])
        raise ModelError(
            f"the model returned NaN or infinite logits (first at image {row} of the batch).", code="RB104"
        )
    sums_to_one = (logits.sum(1) - 1).abs().max() < 1e-5
    if classes > 1 and sums_to_one and logits.min() > -1e-5:
        remedy = "return the logits before the softmax, which attacks need"
        raise ModelError(f"the model returned probabilities; {remedy}.", code="RB109")
    return logits


def loneliness(model: nn.Module, x: Tensor, logits: Tensor, classes: int) -> float:
    """By how much logits [B, K] of images x [B, C, H, W] change if each of the first 16 images is asked for alone.

    Raises `ModelError` if that is more than rounding.
    """
    alone = torch.cat([logits_of(model, x[i : i + 1], classes) for i in range(min(16, len(x)))])
    difference = float((alone - logits[: len(alone)]).abs().max())
    if difference > COMPANY * float(logits.abs().max().clamp_min(1)):
        what = f"a sample's logits change by {difference:.3g} with its company in the batch"
        raise ModelError(f"{what}; put batch norm in eval mode.", code="RB106")
    return difference


def opinion(model: nn.Module, x: Tensor, y: Tensor, classes: int, seeds: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """The class [B] that a model gives to images x [B, C, H, W] with labels y [B], and z_y - max_{k != y} z_k, [B].

    With `seeds` the model is asked once under each, torch's global generators seeded by it: the class is the one with
    the most votes, where a tie goes against the label, and the margin is the mean of all.
    """
    if not seeds:
        logits = logits_of(model, x, classes)
        return logits.argmax(1), margin_of(logits, y)
    votes = x.new_zeros(len(x), classes, dtype=torch.float64)
    margin = x.new_zeros(len(x), dtype=torch.float64)
    for seed in seeds:
        with seeded(seed, x.device):
            logits = logits_of(model, x, classes)
        votes.scatter_add_(1, logits.argmax(1, keepdim=True), votes.new_ones(len(x), 1))
        margin += margin_of(logits, y)
    votes.scatter_add_(1, y[:, None], votes.new_full((len(x), 1), -0.5))  # a draw of votes is no robustness
    return votes.argmax(1), margin / len(seeds)


def margin_of(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max_{k != y} z_k of logits [B, K] and labels [B], shape [B]."""
    own = logits.gather(1, y[:, None])[:, 0]
    return own - logits.scatter(1, y[:, None], -torch.inf).amax(1)


def judge(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    x_adv: Tensor,
    threat: Threat | None,
    *,
    classes: int,
    attack: str,
    seeds: Sequence[int] = (),
) -> Verdict:
    """The verdict on what an attack made of images x [B, C, H, W] with labels y [B]; for `seeds` see `opinion`.

    Raises `AttackError`, naming the attack, unless x_adv has the shape, dtype and device of x, is finite, in [0, 1] and
    within eps (1 + 1e-5) + 1e-6 of x; without a threat it must be x. Nothing is ever clipped on an attack's behalf.
    """
    if not isinstance(x_adv, Tensor):
        raise AttackError(f"attack {attack!r} returned {type(x_adv).__name__}, not images.", code="RB102")
    for what in ("shape", "dtype", "device"):
        if getattr(x_adv, what) != getattr(x, what):
            got = getattr(x_adv, what)
            raise AttackError(f"attack {attack!r} changed the {what} of the images to {got}.", code="RB102")
    x_adv = x_adv.detach()
    if not torch.isfinite(x_adv).all():
        raise AttackError(f"attack {attack!r} returned NaN or infinite pixels.", code="RB102")
    if x_adv.min() < 0 or x_adv.max() > 1:
        low, high = float(x_adv.min()), float(x_adv.max())
        raise AttackError(f"attack {attack!r} left the range [0, 1] of pixels: [{low:.6g}, {high:.6g}].", code="RB102")
    delta = (x_adv.double() - x.double()).flatten(1)
    distance = delta.norm(dim=1) if threat is not None and threat.norm == "l2" else delta.abs().amax(1)
    allowed = threat.radius * (1 + 1e-5) + 1e-6 if threat is not None else 0.0
    if (distance > allowed).any():
        ball = (
            f"{threat.norm} ball of eps = {threat.eps} ({threat.radius:.6g})" if threat is not None else "image itself"
        )
        raise AttackError(f"attack {attack!r} left the {ball}: distance {float(distance.max()):.6g}.", code="RB102")
    pred, margin = opinion(model, x_adv, y, classes, seeds)
    return Verdict(pred, margin, distance)
