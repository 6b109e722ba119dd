"""`timm:NAME[@random]`: a model of timm, as `resnet18` or with its tag, `resnet18.a1_in1k`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rbench.errors import MissingError, UsageError
from rbench.hubs import RANDOM, classes_of, fit, no_model, require
from rbench.hubs.files import from_hf, from_torch, reason, safe, told, version
from rbench.hubs.wrapping import Wrapped, seeded, standardised, wrapped
from rbench.types import Call, Suite

NAMES = ("model.safetensors", "pytorch_model.bin")


def call(name: str, choice: str, suite: Suite | None) -> Call:
    """What a name asks for: the weights of its tag, timm's default one if it has none, or random ones."""
    require("timm", "timm")
    import timm

    if choice not in ("", RANDOM):
        raise UsageError(f"timm:{name}@{choice}: write timm:{name}.TAG for other weights, or @{RANDOM} for untrained.")
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        remedy = "`timm.list_models(pretrained=True)` lists them; newer ones need a newer timm (pip install -U timm)."
        raise no_model(name, known, version("timm"), remedy)
    settings = timm.get_pretrained_cfg(name)
    if choice == RANDOM:
        classes = classes_of(suite, settings.num_classes if settings is not None else 1000)
        return Call("rbench.hubs.timm:build", {"name": name.partition(".")[0], "classes": classes})
    if settings is None or not settings.has_weights:
        raise MissingError(f"timm has no weights of {name!r}; timm:{name}@{RANDOM} is untrained.")
    fit(f"timm:{name}", suite, settings.num_classes)
    return Call("rbench.hubs.timm:build", {"name": f"{settings.architecture}.{settings.tag}".rstrip(".")})


def build(name: str, classes: int | None = None) -> nn.Module:
    """The model with its weights from the caches of timm or, for so many `classes`, with random ones.

    Raises `MissingError` for weights that are not there, or that this timm cannot read.
    """
    import timm

    provenance: dict[str, Any] = {"package": version("timm"), "weights": name if classes is None else RANDOM}
    if classes is not None:
        return presented(seeded(lambda: timm.create_model(name, num_classes=classes)), provenance)
    settings = timm.get_pretrained_cfg(name)
    path = from_torch(settings.url, f"timm:{name}", fetch=not settings.hf_hub_id) if settings.url else None
    if path is None:
        names = (settings.hf_hub_filename,) if settings.hf_hub_filename else NAMES
        repo, _, revision = settings.hf_hub_id.partition("@")
        path = from_hf(repo, names, revision or None, f"timm:{name}")
        provenance["source"] = settings.hf_hub_id
    else:
        provenance["source"] = settings.url
    return presented(filled(name, {"file": str(path)}, f"timm:{name}", overlay=True), provenance | told(path))


def network(
    name: str, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> nn.Module:
    """An architecture of timm for a card: weights drawn as torch is seeded, images of any size that it takes.

    Without `mean` and `std` images go in as they are, in [0, 1]. Raises `MissingError` where timm is not installed.
    """
    require("timm", "timm")
    import timm

    net: nn.Module = timm.create_model(name, num_classes=classes)
    return standardised(net, mean, std)


def filled(name: str, settings: Mapping[str, Any], model: str, *, overlay: bool = False, **options: Any) -> nn.Module:
    """A model of timm with the weights in the file that `settings` name; raises `MissingError` if they do not fit."""
    import timm

    key = "pretrained_cfg_overlay" if overlay else "pretrained_cfg"
    safe(Path(settings["file"]))
    try:
        net: nn.Module = timm.create_model(name, pretrained=True, **{key: dict(settings)}, **options)
    except Exception as error:
        raise MissingError(
            f"{settings['file']} cannot be read as {model} by {version('timm')}: {reason(error)}. Weights for a newer "
            "timm need one (pip install -U timm); else fetch the file again."
        ) from error
    return net


def presented(net: nn.Module, provenance: Mapping[str, Any]) -> Wrapped:
    """A model of timm behind the preprocessing that its settings name."""
    from timm.data import resolve_model_data_config

    images = resolve_model_data_config(net)
    return wrapped(
        net,
        {**provenance, "classes": int(net.num_classes)},  # type: ignore[arg-type]
        size=images["input_size"][1:],
        mean=images["mean"],
        std=images["std"],
        mode=images["interpolation"],
    )
