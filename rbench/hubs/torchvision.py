"""`torchvision:NAME[@WEIGHTS]`: a classifier of torchvision with one of its own weights, or `@random` ones."""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from rbench.errors import MissingError, unknown
from rbench.hubs import RANDOM, classes_of, fit, no_model
from rbench.hubs.files import from_torch, reason, safe, told, version
from rbench.hubs.wrapping import seeded, standardised, wrapped
from rbench.types import Call, Suite


def call(name: str, choice: str, suite: Suite | None) -> Call:
    """What a name asks for: WEIGHTS as torchvision calls them, its newest by default."""
    import torchvision.models as zoo

    if name not in zoo.list_models(module=zoo):
        raise no_model(name, zoo.list_models(module=zoo), version("torchvision"), "A newer one may have it.")
    if choice == RANDOM:
        usual = len(zoo.get_model_weights(name).DEFAULT.meta["categories"])
        return Call("rbench.hubs.torchvision:build", {"name": name, "classes": classes_of(suite, usual)})
    known = zoo.get_model_weights(name).__members__
    if choice and choice not in known:
        raise unknown("weights", choice, [*known, RANDOM], f"torchvision:{name}")
    weights = zoo.get_model_weights(name)[choice or "DEFAULT"]
    fit(f"torchvision:{name}", suite, len(weights.meta["categories"]))
    return Call("rbench.hubs.torchvision:build", {"name": name, "weights": weights.name})


def build(name: str, weights: str | None = None, classes: int = 1000) -> nn.Module:
    """The model with weights from torch's cache or, without any, with random ones for so many classes.

    Raises `MissingError` for weights that are not there, or damaged.
    """
    import torchvision.models as zoo

    chosen = zoo.get_model_weights(name)[weights or "DEFAULT"]
    images = chosen.transforms()
    provenance: dict[str, Any] = {"package": version("torchvision"), "weights": weights or RANDOM}
    if weights is None:
        net = seeded(lambda: _quietly(name, weights=None, num_classes=classes))
    else:
        path = from_torch(chosen.url, f"torchvision:{name}@{weights}")
        assert path is not None  # noqa: S101 - it is fetched, or it is an error
        safe(path)
        classes = len(chosen.meta["categories"])
        provenance |= {**told(path), "source": chosen.url}
        try:
            net = _quietly(name, weights=chosen, progress=False)
        except Exception as error:
            raise MissingError(f"{path} cannot be read as torchvision:{name}@{weights}: {reason(error)}") from error
    return wrapped(
        net,
        provenance | {"classes": classes},
        size=images.crop_size * 2,
        mean=images.mean,
        std=images.std,
        mode=images.interpolation.value,
    )


def network(
    name: str, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> nn.Module:
    """An architecture of torchvision for a card: weights drawn as torch is seeded, images of any size that it takes.

    Without `mean` and `std` images go in as they are, in [0, 1].
    """
    return standardised(_quietly(name, weights=None, num_classes=classes), mean, std)


def _quietly(name: str, **options: Any) -> nn.Module:
    """The model of a name; torchvision warns of defaults to come."""
    import torchvision.models as zoo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net: nn.Module = zoo.get_model(name, **options)
    return net
