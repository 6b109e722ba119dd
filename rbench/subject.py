"""What is evaluated: names, pointers and modules become subjects that can be loaded in any process."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench import hubs
from rbench.catalog import Catalog
from rbench.errors import MissingError, ModelError, UsageError
from rbench.files import sha256
from rbench.planner import Variant
from rbench.types import Call, ModelCard, Suite

if TYPE_CHECKING:
    from torch import nn

CHECKPOINTS = (".safetensors", ".pt", ".pth")
MOST_WORKERS = 8  # each holds a copy of torch, about 0.4 GB of its own


@dataclass(frozen=True)
class Subject:
    """A model to evaluate: its name, how to get it, the digest of its weights and, of a collection, its provenance."""

    name: str
    digest: str
    arch: Call | None
    weights: Path | None = None
    expected: str | None = None
    card: ModelCard | None = None
    module: "nn.Module | None" = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> "nn.Module":
        """The model itself."""
        if self.module is not None:
            return self.module
        from rbench.models.load import load_model as load

        assert self.card is not None  # noqa: S101 - a subject is a module or has a card
        module = load(self.card, self.weights, self.expected)
        if self.weights is None:
            from rbench.models.load import state_digest

            if state_digest(module) != self.digest:
                raise ModelError(f"{self.card.arch.use} builds another model each time; seed it, or load its weights.")
        return module


def subject_of(catalog: Catalog, model: "str | nn.Module", variant: Variant, suite: Suite | None) -> Subject:
    """The subject that a name, a pointer or a module means; raises `RbenchError`s with the remedy.

    A card must be of the suite's dataset, if a suite is given, and its weights must exist.
    """
    if not isinstance(model, str):
        from rbench.models.load import state_digest

        digest = state_digest(model)
        return Subject(f"{type(model).__name__}-{digest[:8]}", digest, None, module=model)
    if Path(model).suffix in CHECKPOINTS:
        raise UsageError(f"{model} is a checkpoint; name the card of its architecture: --model {model} --arch CARD.")
    if ":" in model:
        if variant.weights_file is not None:
            raise UsageError(f"--weights goes with a model of the catalog; {model!r} has to load its own.")
        subject = _built(model, suite)
        if subject.name in catalog.files("models"):
            raise UsageError(f"{model!r} would be called {subject.name!r}, as a model of the catalog is; rename one.")
        return subject
    card = catalog.model(model)
    if suite is not None and card.dataset != suite.dataset:
        raise UsageError(f"model {model!r} classifies {card.dataset!r}, suite {suite.name!r} holds {suite.dataset!r}.")
    path, expected = catalog.weights(card)
    if variant.weights_file is not None:
        path = Path(variant.weights_file)
        if not path.is_file():
            raise MissingError(f"no checkpoint {path}.")
        digest = sha256(path)
        return Subject(model, digest, card.arch, path, digest, card)
    if expected is None or not path.is_file():
        raise MissingError(f"the weights of {model!r} do not exist yet ({path}): {card.remedy}")
    return Subject(model, expected, card.arch, path, expected, card)


def of_checkpoint(model: str, arch: str | None, weights: Path | None) -> tuple[str, Path | None]:
    """A model and its file of weights, where `model` may be a checkpoint, and `arch` the card that it is of.

    Raises `UsageError` where one is named without the other.
    """
    if arch is None:
        return model, weights
    if Path(model).suffix not in CHECKPOINTS or weights is not None:
        raise UsageError(f"--arch goes with a checkpoint as the model: --model net.safetensors --arch {arch}.")
    return arch, Path(model)


def _built(model: str, suite: Suite | None) -> Subject:
    """A model of a collection, or one that "file.py:function" or "package.module:function" builds, weights and all."""
    from rbench.models.load import load_model as load
    from rbench.models.load import state_digest

    call = hubs.call_of(model, suite)
    where, _, function = model.rpartition(":")
    name = hubs.folder_name(model) if call is not None else f"{Path(where).stem}-{function}"
    card = ModelCard(name, model, call or Call(model), suite.dataset if suite is not None else "")
    module = load(card, None)
    provenance = getattr(module, "provenance", {}) if call is not None else {}
    return Subject(name, state_digest(module), card.arch, card=card, provenance=provenance)


def device_of(name: str | None, module: "nn.Module | None") -> str:
    """The device to use: the one named, that of a module, or a GPU where there is one; `cuda` means any of them."""
    import torch

    if name is not None and name.split(":")[0] not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} cannot be used; name cpu or cuda.")
    if name is not None:
        try:
            found = str(torch.empty(0, device=name).device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from error
        return name if name == "cuda" else found
    if module is not None:
        return str(next((value.device for value in module.state_dict().values()), "cpu"))
    return "cuda" if torch.cuda.is_available() else "cpu"


def workers_for(count: int | None, subject: Subject, device: str) -> int:
    """How many processes: one a core on the CPU; one for each GPU, and for a module, which lives in this process.

    If there are several GPUs and the device is any of them, `count` bounds how many work.
    """
    if count is not None and count < 1:
        raise UsageError(f"workers = {count} must be at least 1.")
    if subject.module is not None:
        return 1
    if device == "cuda" and (found := gpus()) > 1:
        from rbench.workers import Spread

        return Spread([f"cuda:{number}" for number in range(min(count or found, found))])
    if count is not None:
        return count
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS) if device == "cpu" else 1


def gpus() -> int:
    """How many GPUs this process may use: $CUDA_VISIBLE_DEVICES bounds them."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def undisturbed(module: "nn.Module | None", device: str) -> Iterator[None]:
    """Eval mode, and one thread a process, for the time of an evaluation; all is as it was afterwards.

    The count of threads moves the last bits of sums, so it may not depend on the machine. Only a module that the caller
    hands over, and that cannot be computed in several processes, keeps the caller's threads.
    """
    import torch

    flags = [(part, part.training) for part in module.modules()] if module is not None else []
    home = device_of(None, module) if module is not None else device
    threads, tf32 = torch.get_num_threads(), (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    if module is not None:
        module.eval()
    elif device == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32
        if module is not None:
            module.to(home)
        for part, training in flags:
            part.training = training
