"""One attack of the package torchattacks in the place of a native one, with that one's own steps and step.

H. Kim, "Torchattacks: a PyTorch repository for adversarial attacks", 2020.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rbench.backends._third_party import third_party
from rbench.catalog import resolve
from rbench.errors import UsageError, unknown
from rbench.rng import Draws
from rbench.types import Threat, fraction

L2_ONLY = {"PGDL2", "PGDRSL2"}
SAME = {  # the native name of a parameter, and theirs
    "steps": "steps",
    "restarts": "n_restarts",
    "start": "random_start",
    "decay": "decay",
    "loss": "loss",
    "eot": "eot_iter",
    "rho": "rho",
    "targeted": "multi_targeted",
    "queries": "n_queries",
    "p": "p_init",
    "version": "version",
}


@third_party("torchattacks")
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    name: str,
    like: str,
    args: Mapping[str, Any],
) -> Tensor:
    """What `torchattacks.NAME` makes of images when it is given what the native attack `like` is given by `args`.

    Arguments that only one of the two has are left at their defaults. Raises `UsageError` for a name that is no attack
    in a ball of the threat's norm.
    """
    import torchattacks

    names = [key for key in torchattacks.__all__ if "eps" in _parameters(getattr(torchattacks, key))]
    if name not in names:
        raise unknown("attack of a fixed eps", name, names, "torchattacks")
    kind = getattr(torchattacks, name)
    wanted = _parameters(kind)
    if "norm" not in wanted and (name in L2_ONLY) != (threat.norm == "l2"):
        raise UsageError(f"torchattacks.{name} is no attack in {threat.norm}; try torchattacks:{_sibling(name)}.")
    given = _arguments(like, args)
    settings = {theirs: given[ours] for ours, theirs in SAME.items() if ours in given}
    settings |= {"eps": threat.radius, "seed": rng.integer(), "norm": {"linf": "Linf", "l2": "L2"}[threat.norm]}
    settings |= {"alpha": _step(given, threat), "n_classes": model(x[:1]).shape[1], "resc_schedule": False}
    settings = {key: value for key, value in settings.items() if key in wanted and value is not None}
    return kind(_Asked(model, x), **settings)(x, y)


class _Asked(nn.Module):
    """A model that can be asked and not be edited: torchattacks would switch its training mode on."""

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.empty(0, device=x.device), requires_grad=False)  # tells the device
        self._ask = [model]  # in a list, where `train` and `eval` do not find it
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the model."""
        logits: Tensor = self._ask[0](x)
        return logits


def _parameters(function: Any) -> dict[str, Any]:
    """The parameters of a function or class, with their defaults."""
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def _arguments(like: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a native attack with its defaults filled in."""
    own = ("model", "x", "y", "threat", "rng")
    return {**{name: value for name, value in _parameters(resolve(like)).items() if name not in own}, **args}


def _step(given: Mapping[str, Any], threat: Threat) -> float | None:
    if given.get("step") is not None:
        return float(fraction(given["step"], "step"))
    return float(fraction(given["rel_step"], "rel_step")) * threat.radius if "rel_step" in given else None


def _sibling(name: str) -> str:
    return name.removesuffix("L2") if name in L2_ONLY else f"{name}L2" if f"{name}L2" in L2_ONLY else "APGD"
