"""The checks that come before trust: is everything on the shelves sound, and does a model behave?"""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rbench import sheet
from rbench.attacks.fgsm import fgsm
from rbench.attacks.pgd import pgd
from rbench.bench import load_images
from rbench.catalog import Catalog, bind, resolve
from rbench.datasets import Dataset
from rbench.engine import GIVEN as GIVEN_ATTACKS
from rbench.errors import ModelError, UsageError
from rbench.metrics.baseline import Baseline
from rbench.models.load import load_model, read_weights
from rbench.models.twin import accelerate
from rbench.named import figures, gates, searches, studies
from rbench.planner import Variant
from rbench.referee import Witness, logits_of, loneliness
from rbench.rng import Draws
from rbench.types import Call, Suite, Threat

SAMPLES = 500
BATCHES = (7, 64, 500)


def shelves(catalog: Catalog, runs: Path) -> Iterator[str]:
    """Load, bind and resolve everything on the shelves; yields one line for each entry that is sound."""
    for name in catalog.files("suites"):
        suite = catalog.suite(name)
        _bound(catalog, suite)
        yield f"suite {name}: {len(suite.probes)} probes, {len(suite.scores)} scores"
    for name in catalog.files("recipes"):
        bind(catalog.recipe(name).data, ("split",))
        yield f"recipe {name}"
    for name in catalog.files("models"):
        card = catalog.model(name)
        path, digest = catalog.weights(card)
        if card.recipe is not None:
            catalog.recipe(card.recipe)
        if digest is None:
            bind(card.arch)
            yield f"model {name}: not trained yet ({card.remedy})"
        else:
            count = sum(p.numel() for p in load_model(card, path, digest).parameters())
            yield f"model {name}: {count:,} parameters, {len(read_weights(path))} tensors, sha256 {digest[:12]}"
    for name in catalog.files("tables"):
        sheet.collect(catalog, catalog.table(name), runs, Variant())
        yield f"table {name}"
    for named in (figures, studies, searches, gates):
        yield from named(catalog)


def _bound(catalog: Catalog, suite: Suite) -> None:
    """Bind everything that a suite names; raises `UsageError` for what cannot be, or a baseline that is missing."""
    bind(suite.data)
    for probe in suite.probes:
        if probe.attack is not None:
            bind(probe.attack, GIVEN_ATTACKS)
        if probe.data is not None:
            bind(probe.data, ("dataset", "seed"))
    for score in suite.scores:
        wanted = {"names", "baseline"} & signature(resolve(score.use)).parameters.keys()
        bind(Call(score.use, score.args), ("probes", *wanted))
        if "baseline" in wanted and not suite.baseline:
            raise UsageError(f"suite {suite.name!r}: score {score.name!r} compares with a baseline, and none is named.")
    published = catalog.baseline(suite.baseline) if suite.baseline else None
    if published is not None:
        Baseline.from_toml(published)
    elif suite.baseline:
        catalog.model(suite.baseline)


def observe(model: nn.Module, dataset: Dataset, suite: Suite) -> Iterator[str]:
    """Look at a model on the first images of a dataset; yields one line for each property that holds.

    Clean predictions and, if the suite has a threat, flags of FGSM and PGD-20 that flip with the batch size in float32
    are counted and reported, not forbidden: rounding alone may flip a sample that sits on the decision boundary.
    """
    n = min(SAMPLES, len(dataset.labels))
    device = next((value.device for value in model.state_dict().values()), torch.device("cpu"))
    x, y = load_images(dataset, np.arange(n), device)
    witness = Witness(model)
    logits = logits_of(model, x, dataset.classes)
    yield f"logits: finite, [{n}, {dataset.classes}], from {float(logits.min()):.2f} to {float(logits.max()):.2f}"
    if not torch.equal(logits, logits_of(model, x, dataset.classes)):
        raise ModelError(
            "the model gives the same images different logits each time; its randomness must be fixed.", code="RB105"
        )
    yield "deterministic: two forward passes agree to the bit"
    yield _company(model, x, logits, dataset.classes)
    twin = accelerate(model, x[:100])
    difference = float((logits_of(twin, x, dataset.classes) - logits).abs().max())
    yield f"accelerated twin: logits differ by at most {difference:.2g}"
    yield f"clean: {_flips(partial(predictions, twin, x), 'predictions', x)}"
    yield from _attacked(twin, x, y, suite)
    witness.check("it was observed")
    yield "parameters, buffers and training flags: unchanged"


def _company(model: nn.Module, x: Tensor, logits: Tensor, classes: int) -> str:
    """Whether a sample's logits depend on the samples that share its batch."""
    difference = loneliness(model, x, logits, classes)
    return f"batch-independent: logits alone and in a batch differ by at most {difference:.2g}"


def _attacked(twin: nn.Module, x: Tensor, y: Tensor, suite: Suite) -> Iterator[str]:
    """A line for each attack, or one that says that the suite has none."""
    threat = suite.threat
    if threat is None:
        yield f"attacks: suite {suite.name!r} has none, so no success flag can flip"
        return
    for name in ("fgsm", "pgd20"):
        flags = partial(success_flags, twin, x, y, threat, name)
        yield f"{name}: {_flips(flags, 'success flags', x)}"


def _flips(ask: Callable[[int], Tensor], what: str, x: Tensor) -> str:
    """How many samples of images x get another answer [B] when it is asked for in batches of another size."""
    answers = [ask(batch) for batch in BATCHES]
    flips = int(torch.stack([a != b for a, b in pairwise(answers)]).any(0).sum())
    sizes = ", ".join(map(str, BATCHES))
    return f"{flips} of {len(x)} {what} flip between batches of {sizes} ({x.dtype})"


@torch.no_grad()
def predictions(model: nn.Module, x: Tensor, batch: int) -> Tensor:
    """The classes [B] that a model gives to images x [B, C, H, W] in batches of the given size."""
    return torch.cat([model(part).argmax(1) for part in x.split(batch)])


def success_flags(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, name: str, batch: int) -> Tensor:
    """Which samples FGSM ("fgsm") or PGD-20 ("pgd20") fools, [B], attacked in batches of the given size."""
    fooled = []
    for rows in torch.arange(len(x), device=x.device).split(batch):
        draws = Draws(0, name, rows)
        attack = fgsm if name == "fgsm" else pgd
        x_adv = attack(model, x[rows], y[rows], threat, rng=draws)
        with torch.no_grad():
            fooled.append(model(x_adv).argmax(1) != y[rows])
    return torch.cat(fooled)
