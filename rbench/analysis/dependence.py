"""How much neighbouring layers know of each other: Andle, Craig, Nowak and Yasaei Sekeh, arXiv 2307.03803, rho."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rbench.analysis.measured import Blocks, Variant
from rbench.errors import UsageError
from rbench.models.splits import layers_of
from rbench.statistics.information import class_conditional


def dependence(
    model: nn.Module, x: Tensor, *, last: int | None = None, published: bool = False, seed: int = 0
) -> list[Variant]:
    """The mutual information given the class of what each layer puts out and the layer before it, in bits.

    Layers are convolutions and linear ones in the order in which they run, numbered from 0; only the `last` so many are
    asked, by default all but the first. rho_n of the tables is that of the last one, rho_(n-3) that of the third before
    it. Adversarial images are those of PGD-20 (`rbench.analysis.shown`); algorithm 1 takes the attack that it evaluates
    by. `null` is what the estimator finds where there is nothing: of few images most of the number. `published` gives
    the estimate of the authors' program. Raises `UsageError` for a number of layers that there are not.
    """
    layers = layers_of(model, x)
    if not 1 <= (asked := len(layers) - 1 if last is None else last) < len(layers):
        raise UsageError(f"last = {asked} must be from 1 to {len(layers) - 1}, the layers that have one before them.")
    variants = []
    for index in range(len(layers) - asked, len(layers)):
        pair = (layers[index - 1], layers[index])
        labels: dict[str, str | int | float] = {"layer": index, "parent": pair[0], "child": pair[1]}
        measure = partial(_information, model, pair, published=published, seed=seed)
        variants.append(Variant(labels, model, measure))
    return variants


def _information(
    model: nn.Module, pair: tuple[str, str], _condition: str, blocks: Blocks, *, published: bool, seed: int
) -> dict[str, float | str]:
    parent, child = outputs(model, pair, [x for x, _ in blocks])
    labels = torch.cat([y for _, y in blocks]).cpu().numpy()
    found = class_conditional(parent.numpy(), child.numpy(), labels, published=published, seed=seed)
    return {
        "bits": found.bits,
        "null": found.null,
        "ceiling": found.ceiling,
        "samples": found.samples,
        "doubt": found.warning,
    }


@torch.no_grad()
def outputs(model: nn.Module, layers: Sequence[str], blocks: Sequence[Tensor]) -> list[Tensor]:
    """What each layer puts out for all images together, [N, d], before norms and activations, in evaluation mode.

    Of a layer that runs several times the last output counts.
    """
    kept: dict[str, list[Tensor]] = {name: [] for name in layers}
    now: dict[str, Tensor] = {}
    handles = [model.get_submodule(name).register_forward_hook(partial(_note, now, name)) for name in layers]
    model.eval()
    try:
        for x in blocks:
            model(x)
            for name, values in now.items():
                kept[name].append(values.flatten(1).cpu())
    finally:
        for handle in handles:
            handle.remove()
    return [torch.cat(kept[name]) for name in layers]


def _note(now: dict[str, Tensor], name: str, _module: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> None:
    now[name] = out
