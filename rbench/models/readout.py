"""Linear read-outs of a network's early layers: Andle, Craig, Nowak and Yasaei Sekeh, arXiv 2307.03803, appendix B.1.

With X [N, d] the features of N images and F [N, K] the logits of the network, the read-out is X lambda, where
lambda = X^+ F [d, K] has the least norm of all that come nearest to F.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rbench.models.splits import layers_of

CHUNK = 4096  # columns that are in double precision at a time


class ReadOut(nn.Module):
    """What some layers of a network put out, before norms and activations, times `weights` [d, K], as a network.

    Gradients flow through the features, so that attacks on it are white-box. Of a layer that runs several times the
    last output counts.
    """

    weights: Tensor

    def __init__(self, model: nn.Module, layers: Sequence[str], weights: Tensor) -> None:
        super().__init__()
        self.model, self.layers = model, tuple(layers)
        self.register_buffer("weights", weights.double())

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K] of images x [B, C, H, W], summed in float64."""
        return (features(self.model, self.layers, x).double() @ self.weights).to(x.dtype)


def features(model: nn.Module, layers: Sequence[str], x: Tensor) -> Tensor:
    """What each layer puts out for images x [B, C, H, W], before norms and activations, side by side [B, d]."""
    found: dict[str, Tensor] = {}
    handles = [model.get_submodule(name).register_forward_hook(partial(_keep, found, name)) for name in layers]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat([found[name] for name in layers], dim=1)


def path_of(model: nn.Module, x: Tensor) -> tuple[str, ...]:
    """The layers of a network, for images x [B, C, H, W], in the order in which they run, without those of shortcuts.

    A layer that takes the very input of an earlier one runs beside it, and counts as a shortcut.
    """
    names, taken = layers_of(model, x), list[Tensor]()
    found: list[str] = []
    handles = [
        model.get_submodule(name).register_forward_pre_hook(partial(_take, found, taken, name)) for name in names
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def least_norm(x: Tensor, f: Tensor, rtol: float | None = None) -> Tensor:
    """X^+ F [d, K] in float64, of features x [N, d] and targets f [N, K]; what it takes in memory is min(N, d)^2.

    Singular values of at most `rtol` of the largest count as zero. By default that is max(N, d) times the precision of
    float32, as of `torch.linalg.pinv` of x in float32, and in the program of the authors: of 188,416 features 2%. The
    Gram matrix of the shorter side has their squares, so that an `rtol` below 1e-7 cannot be told from rounding.
    """
    count, width = x.shape
    rows = x if width > count else x.T
    gram = torch.stack([part.double() @ part.double().T for part in rows.split(CHUNK, 1)]).sum(0)
    values, vectors = torch.linalg.eigh(gram)
    rtol = max(count, width) * torch.finfo(torch.float32).eps if rtol is None else rtol
    kept = values.clamp_min(0).sqrt() > rtol * values[-1].clamp_min(0).sqrt()
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    if width > count:
        solved = inverse @ f.double()
        return torch.cat([part.double().T @ solved for part in x.split(CHUNK, 1)])
    parts = zip(x.split(CHUNK), f.split(CHUNK), strict=True)
    return inverse @ torch.stack([a.double().T @ b.double() for a, b in parts]).sum(0)


def _keep(found: dict[str, Tensor], name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> None:
    found[name] = out.flatten(1).clone()  # what comes next may change it in place


def _take(found: list[str], taken: list[Tensor], name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if name not in found and not any(inputs[0] is other for other in taken):
        found.append(name)
        taken.append(inputs[0])
