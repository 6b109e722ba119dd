"""Hooks: optional methods by which a dynamic model lets attacks be made to its measure.

A router computes from the images a code that modulates the rest of the network: `forward(x) = forward(x, route(x))`.
A model that shows its router, its type head or a stand-in for what has no gradient has, on its outermost module:

`route(x) -> code`
    the code of each image, a tensor [B, ...] whose rows do not depend on one another; with gradients, unless the model
    itself has none. It goes with `forward(x, code=None)`, which uses the code that it is given in the place of its own;
    without that argument a `route` is no hook. Of several codes (one a layer, say) make one tensor.
`freeze_route(x) -> code`
    the code that holds the router where images x leave it; by default `route(x)`. A model whose router keeps more than
    it returns (statistics of the batch, a hard choice behind a soft code) says here what "frozen" means.
`branches(x) -> (code, ...)`
    codes [B, ...] that force each of the network's branches on, whatever the router would say: for MixBN one with the
    statistics of clean and one with those of adversarial images.
`type_logits(x) -> logits [B, 2]`
    what the router makes of the kind of each image: column 1 is clean and 0 adversarial, as AW-Net's y' counts them
    (arXiv 2306.03430).
`bpda(x) -> logits` (of a model with a router: `bpda(x, code=None)`)
    a stand-in with useful gradients. Every attack, third-party ones too, then sees the values of `forward` and the
    gradients of `bpda` (backward pass differentiable approximation; Athalye, Carlini and Wagner, ICML 2018).

Hooks only ever help attacks: the referee asks `forward(x)` and nothing else. Two methods more serve training alone:

`informed(views, clean) -> (logits of each view, type logits of each view)`
    what training asks in the place of `forward`: the views of a batch, each with whether it shows clean images, since
    that is known there. A model whose norms keep the kinds apart picks them by it. Without a type head the second
    list is empty; type logits are fitted to the kinds by cross-entropy, whatever else is minimised.
`paths() -> context`
    in which a supernet is one of its sub-architectures, drawn anew: each step of a training, its attack included.
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

ASKED = ("route", "freeze_route", "branches", "type_logits")  # hooks that an attack calls; `bpda` works by itself


def hooks_of(model: nn.Module) -> dict[str, Callable[..., Any]]:
    """The hooks that a model has, by name."""
    found = {name: getattr(model, name, None) for name in (*ASKED, "bpda")}
    if "code" not in inspect.signature(model.forward).parameters:
        for name in ("route", "freeze_route", "branches"):
            found.pop(name)
    return {name: hook for name, hook in found.items() if callable(hook)}


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` with the gradient of `soft`: hard + (soft - soft), the last two alike in value only.

    Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons for conditional
    computation", arXiv 1308.3432.
    """
    return hard.detach() + (soft - soft.detach())
