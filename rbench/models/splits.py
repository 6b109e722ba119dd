"""Splitting a network at a layer into f_a, which runs first, and f_b, as in "Semirobust subnetworks".

Andle, Craig, Nowak and Yasaei Sekeh, arXiv 2307.03803, count as layers all convolutions, those of shortcuts too, and
linear layers (github.com/Sekeh-Lab/SemirobustSubnetworks). What runs before the first layer of f_b is f_a: of a
network of pre-activation blocks also the batch norm right before that layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rbench.errors import UsageError

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True)
class Split:
    """A network in two: all its layers by name in forward order, of which f_b begins with number `start`, from 0.

    `f_a` and `f_b` are the names of the parameters and buffers of each part, as in `state_dict()`.
    """

    layers: tuple[str, ...]
    start: int
    f_a: tuple[str, ...]
    f_b: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first layer of f_b."""
        return self.layers[self.start]


def layers_of(model: nn.Module, x: Tensor) -> tuple[str, ...]:
    """The names of a network's layers in the order in which they first run for images x [B, C, H, W]."""
    return tuple(name for name in _order(model, x) if isinstance(model.get_submodule(name), LAYERS))


def split(model: nn.Module, x: Tensor, last: int) -> Split:
    """Split a network so that f_b has its `last` layers, in the order in which they run for images x [B, C, H, W].

    A parameter or buffer belongs to the part in which its module starts to run; one whose module never runs by itself
    goes with the module around it. The network is run once in evaluation mode and not changed. Raises `UsageError`
    unless both parts get a layer.
    """
    order = _order(model, x)
    layers = tuple(name for name in order if isinstance(model.get_submodule(name), LAYERS))
    if not 1 <= last < len(layers):
        raise UsageError(
            f"f_b cannot be the last {last} of the {len(layers)} layers (convolutions and linear layers) of "
            f"{type(model).__name__}; choose a number from 1 to {len(layers) - 1}."
        )
    start = len(layers) - last
    place = {name: index for index, name in enumerate(order)}
    border = place[layers[start]]
    names = list(model.state_dict())
    f_b = {name for name in names if _when(name, place) >= border}
    return Split(layers, start, tuple(n for n in names if n not in f_b), tuple(n for n in names if n in f_b))


def _order(model: nn.Module, x: Tensor) -> list[str]:
    """The names of all modules that run, in the order in which each first starts; the network itself, "", first."""
    started: dict[str, None] = {}
    modes = [(module, module.training) for module in model.modules()]
    handles = [
        module.register_forward_pre_hook(partial(_note, started.setdefault, name))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return list(started)


def _note(note: Callable[[str], None], name: str, _module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
    note(name)


def _when(name: str, place: dict[str, int]) -> int:
    """When the module that holds a parameter or buffer starts, or the one around it if it never runs by itself."""
    owner = name.rpartition(".")[0]
    while owner not in place:
        owner = owner.rpartition(".")[0]
    return place[owner]
