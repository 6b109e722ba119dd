"""What every block of samples needs: the model as given, its twin, and the images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rbench.catalog import resolve
from rbench.datasets import Dataset, View
from rbench.errors import AttackError, MissingError, ModelError, UsageError
from rbench.models.precision import in_float32
from rbench.models.twin import Counted, accelerate, is_random
from rbench.referee import Witness, logits_of, loneliness
from rbench.rng import seeded
from rbench.tuning import DEFAULT_BATCH, quickest_batch
from rbench.types import IntArray, Probe


@dataclass(frozen=True)
class Source:
    """Where model and data come from; all is called once in every process that works. `digest` is the data's.

    `surrogates` are the models, by name, that probes may craft on in the place of the model itself; `draws` > 1 lets
    models be random; `view` makes the view of the data that a probe asks for.
    """

    model: Callable[[], nn.Module]
    data: Callable[[], Dataset]
    digest: str
    device: str
    surrogates: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    draws: int = 1
    view: Callable[[Probe, Dataset], View] | None = None


class Pair(NamedTuple):
    """A model as given and the twin of it that attacks are given, each with a witness of its state.

    `random` says whether the model draws random numbers.
    """

    model: nn.Module
    twin: Counted
    witness: Witness
    twin_witness: Witness
    random: bool

    def check(self, attack: str) -> None:
        """Raise an error if an attack has changed anything."""
        self.witness.check(f"probe {attack!r} ran")
        self.twin_witness.check(f"attack {attack!r} had it", AttackError)


@dataclass(frozen=True)
class Bench:
    """What every block needs: the model, what else is attacked, the data and the batch size of native attacks."""

    own: Pair
    surrogates: Mapping[tuple[str, ...], Pair]
    dataset: Dataset
    device: torch.device
    batch: int
    make_view: Callable[[Probe, Dataset], View] | None
    tick: Callable[[int], None]
    _views: dict[str, View] = field(default_factory=dict)

    @property
    def model(self) -> nn.Module:
        """The model as given."""
        return self.own.model

    @property
    def twin(self) -> Counted:
        """The model's twin."""
        return self.own.twin

    def crafting(self, probe: Probe) -> Pair:
        """What the attack of a probe is given: the probe's surrogates, if it names any, else the model itself."""
        return self.surrogates[probe.surrogates] if probe.surrogates else self.own

    def view(self, probe: Probe) -> View:
        """The view of the data that a probe asks for, made when it is first needed."""
        if probe.name not in self._views:
            assert self.make_view is not None  # noqa: S101 - whoever has such probes gives it
            self._views[probe.name] = self.make_view(probe, self.dataset)
        return self._views[probe.name]


class Ensemble(nn.Module):
    """Several models as one: the mean of their logits."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """The mean logits [B, K] for images x [B, C, H, W]."""
        return torch.stack([member(x) for member in self.members]).mean(0)


def set_up(source: Source, probes: Sequence[Probe], n: int, batch: int | None, tick: Callable[[int], None]) -> Bench:
    """Load models and data in this process, make the twins, and measure the best batch size unless one is given.

    Raises `UsageError` if a probe's attack needs a hook that what it is to attack has not.
    """
    device = torch.device(source.device)
    if device.type == "cuda":  # float32 means float32, for the attack as for the referee
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    dataset = source.data()
    if dataset.digest != source.digest:
        raise MissingError(
            f"dataset {dataset.name!r} changed while it was used: {dataset.digest}, not {source.digest}."
        )
    if dataset.classes < 2:
        raise MissingError(f"dataset {dataset.name!r} has a single class; no model can be fooled about it.")
    x, _ = load_images(dataset, np.arange(min(n, DEFAULT_BATCH)), device)
    own = _pair([source.model().to(device)], x, dataset.classes, source.draws, tick)
    teams = dict.fromkeys(probe.surrogates for probe in probes if probe.surrogates)
    loaded = {name: source.surrogates[name]().to(device) for name in dict.fromkeys(chain.from_iterable(teams))}
    surrogates = {
        team: _pair([loaded[name] for name in team], x, dataset.classes, source.draws, tick) for team in teams
    }
    # The batch size moves the last bits of float32 results, so a run keeps the one that it began with.
    batch = batch or (quickest_batch(own.twin.inner, x) if n > DEFAULT_BATCH else DEFAULT_BATCH)
    bench = Bench(own, surrogates, dataset, device, batch, source.view, tick)
    for probe in probes:
        _check_hooks(probe, bench.crafting(probe).twin)
    return bench


def _pair(models: Sequence[nn.Module], x: Tensor, classes: int, draws: int, tick: Callable[[int], None]) -> Pair:
    """A model, or several as an ensemble, and its twin; checked on images x [B, C, H, W]."""
    models = [in_float32(model) for model in models]
    model = models[0] if len(models) == 1 else Ensemble(models).eval()
    witness = Witness(model)
    repeated = []
    for _ in range(2):
        with seeded(0, x.device) if draws > 1 else nullcontext():
            repeated.append(logits_of(model, x, classes))
        witness.check("it was asked for logits")
    if not torch.equal(*repeated):
        remedy = "fix its randomness, or choose a suite with draws, such as digits-rand"
        if draws > 1:
            remedy = "let its randomness come from torch's global generators, so that it can be repeated"
        raise ModelError(f"the model gives the same images different logits each time; {remedy}.", code="RB105")
    if draws == 1:
        loneliness(model, x, repeated[0], classes)
    twin = Counted(accelerate(model, x), tick, len(models))
    witness.check("being copied")
    return Pair(model, twin, witness, Witness(twin), is_random(model, x))


def _check_hooks(probe: Probe, twin: nn.Module) -> None:
    """Refuse a probe whose attack needs what a model does not show, before anything is run."""
    needs = getattr(resolve(probe.attack.use), "needs", ()) if probe.attack is not None else ()
    lacking = [name for name in needs if name != "forward" and not hasattr(twin, name)]
    if lacking:
        raise UsageError(
            f"probe {probe.name!r} needs a model with the hook {lacking[0]!r}; give the model that method (see "
            "rbench/models/hooks.py), or choose a suite without the probe."
        )


def load_images(dataset: Dataset, indices: IntArray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images as float32 in [0, 1] and labels, checked; raises `MissingError` for data that is no images."""
    x = as_floats(dataset.images(indices), repr(dataset.name), device)
    labels = dataset.labels[indices]
    if labels.min() < 0 or labels.max() >= dataset.classes:
        raise MissingError(f"dataset {dataset.name!r} has labels outside 0..{dataset.classes - 1}.")
    return x, torch.from_numpy(labels).to(device)


def as_floats(pixels: npt.NDArray[Any], name: str, device: torch.device) -> Tensor:
    """Images, uint8 or in [0, 1], as float32 in [0, 1]; raises `MissingError` for what lies outside."""
    x = torch.from_numpy(pixels).to(device)
    x = x.float() / 255 if pixels.dtype == np.uint8 else x.float()
    if not (x.min() >= 0 and x.max() <= 1):
        raise MissingError(
            f"dataset {name} has images outside [0, 1] ([{float(x.min()):.4g}, {float(x.max()):.4g}]); "
            "normalise inside the model, not in the data.",
            code="RB101",
        )
    return x
