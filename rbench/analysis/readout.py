"""How well a linear read-out of early layers does: Andle, Craig, Nowak and Yasaei Sekeh, arXiv 2307.03803, table 2."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rbench.analysis.asked import Asked
from rbench.attacks.autoattack import autoattack
from rbench.attacks.fgsm import fgsm
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.datasets import Dataset
from rbench.errors import UsageError, unknown
from rbench.models.readout import ReadOut, features, least_norm, path_of
from rbench.rng import Draws
from rbench.statistics.intervals import wilson
from rbench.training.batches import stratified
from rbench.types import IntArray, Threat

BATCH = 100  # images that are attacked at a time
PUBLISHED = 512  # images of a batch for which the published protocol solves
NONE = "none"
ATTACKS: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm,
    "pgd10": partial(pgd, steps=10, rel_step="1/4", stop=False),
    "aa": autoattack,
}


def readout(
    model: nn.Module,
    asked: Asked,
    train: Callable[[], Dataset],
    load: Callable[[str], nn.Module],
    *,
    layers: tuple[int, ...] | None = None,
    attacks: tuple[str, ...] = (NONE, "fgsm", "pgd10"),
    surrogate: str | None = None,
    fitted: int = 500,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Algorithm 2 for the robust network (f_a*, f_b*): its logits from what its first layers put out, by a matrix.

    Features are the raw outputs, before norms and activations, of the first n convolutions of f_a* on the way through
    the network, without those of shortcuts; `layers` names the n, by default all of them but the last layer. There is
    no bias. For each attack and n there are two rows.

    `published`: the matrix lambda is fitted to each batch of 512 of the attacked TEST images and to the network's
    logits for them, the mean over batches is kept, and asked about the same images. They were attacked through the
    network's own head, as in the authors' program (github.com/Sekeh-Lab/SemirobustSubnetworks), or through a
    `surrogate`, another model; either way the attack never sees the read-out. So the accuracy is no robustness, and may
    exceed that of the network (48.5 against 34.1 in table 2 under AutoAttack).

    `proper`: lambda is fitted to `fitted` TRAINING images and their attacks through the network's head, and the test
    images are attacked white-box through the read-out itself, whose gradient flows through features and lambda.

    `acc_star` is the network's accuracy, for the same images or, under `proper`, for those attacked through its own
    head; `random` that of lambda ~ N(0, 1) for the very images that the read-out is asked about; all in [0, 1]. `low`
    and `high` are the 95% interval of the read-out's. `attacks` may also name "aa". Raises `UsageError` for a number of
    layers or an attack that there is not, and for attacks without a threat.
    """
    _check(attacks, asked.threat)
    device = next(model.parameters()).device
    test = _images(asked.dataset, np.arange(asked.count), device)
    path = path_of(model.eval(), test[0].x[:1])
    counts = layers or (len(path) - 1,)
    for count in counts:
        if not 1 <= count < len(path):
            raise UsageError(f"layers = {count} must be from 1 to {len(path) - 1}, the last layer left out.")
    data = train()
    ids = np.arange(len(data.labels))
    learnt = _images(data, ids if fitted >= len(ids) else stratified(data.labels, ids, fitted, "readout")[0], device)
    head = load(surrogate).to(device).eval() if surrogate is not None else model
    for attack in attacks:
        own = _attacked(attack, model, test, asked.threat)
        shown = own if surrogate is None else _attacked(attack, head, test, asked.threat)
        seen = learnt if attack == NONE else [*learnt, *_attacked(attack, model, learnt, asked.threat)]
        for count in counts:
            first = path[:count]
            read = ReadOut(model, first, _per_batch(model, first, shown)).to(device)
            row = {"attack": attack, "layers": count, "protocol": "published"}
            yield {**row, **_row(model, read, shown, shown, seed)}
            read = ReadOut(model, first, _solved(model, first, [block.x for block in seen])).to(device)
            white = _attacked(attack, read, test, asked.threat)
            yield {**row, "protocol": "proper", **_row(model, read, own, white, seed)}


def _check(attacks: Sequence[str], threat: Threat | None) -> None:
    for name in attacks:
        if name not in (NONE, *ATTACKS):
            raise unknown("attack", name, [NONE, *ATTACKS])
        if threat is None and name != NONE:
            raise UsageError(f"{name} needs a threat; choose a suite with one, or attacks = ['none'].")


class Images(NamedTuple):
    """Images [B, C, H, W], labels [B] and the numbers of the samples [B]."""

    x: Tensor
    y: Tensor
    samples: Tensor


def _images(data: Dataset, ids: IntArray, device: torch.device) -> list[Images]:
    parts = np.array_split(ids, -(-len(ids) // BATCH))
    return [Images(*load_images(data, part, device), torch.from_numpy(part).to(device)) for part in parts]


def _attacked(attack: str, model: nn.Module, blocks: Sequence[Images], threat: Threat | None) -> list[Images]:
    """The same, attacked through a network."""
    if attack == NONE or threat is None:
        return list(blocks)
    return [
        Images(ATTACKS[attack](model, x, y, threat, rng=Draws(0, f"analysis/{attack}", samples)), y, samples)
        for x, y, samples in blocks
    ]


@torch.no_grad()
def _per_batch(model: nn.Module, layers: Sequence[str], blocks: Sequence[Images]) -> Tensor:
    """The mean over batches of 512 of the matrix of each; the last batch is what is left, and counts as much."""
    batches = torch.cat([block.x for block in blocks]).split(PUBLISHED)
    return torch.stack([_solved(model, layers, batch.split(BATCH)) for batch in batches]).mean(0)


@torch.no_grad()
def _solved(model: nn.Module, layers: Sequence[str], parts: Sequence[Tensor]) -> Tensor:
    """The matrix [d, K] of all images together, on the CPU, where there is room."""
    known = torch.cat([features(model, layers, x).cpu() for x in parts])
    return least_norm(known, torch.cat([model(x).cpu() for x in parts]))


def _row(
    model: nn.Module, read: ReadOut, own: Sequence[Images], shown: Sequence[Images], seed: int
) -> dict[str, float]:
    """The network's accuracy for its `own` images, and the read-out's and a random one's for those `shown`."""
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(read.weights.shape)))
    chance = ReadOut(model, read.layers, noise.to(read.weights.device))
    n = sum(len(block.y) for block in shown)
    star, right = _right(model, own), _right(read, shown)
    low, high = wilson(right, n)
    return {
        "acc_star": star / n, "accuracy": right / n, "low": low, "high": high, "n": n,
        "difference": (right - star) / n, "random": _right(chance, shown) / n,
    }  # fmt: skip


@torch.no_grad()
def _right(model: nn.Module, blocks: Sequence[Images]) -> int:
    return sum(int((model(x).argmax(1) == y).sum()) for x, y, _ in blocks)
