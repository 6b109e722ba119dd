"""`hf:OWNER/NAME[@REVISION]`: a repository of Hugging Face in the format of timm, or one that transformers reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from rbench.errors import MissingError, UsageError
from rbench.hubs import fit, no_model, require
from rbench.hubs.files import from_hf, told, version
from rbench.hubs.timm import NAMES, filled, presented
from rbench.types import Call, Suite


def call(name: str, choice: str, suite: Suite | None) -> Call:
    """What a name asks for, at a revision: a branch, a tag or a commit; `main` by default."""
    require("huggingface_hub", "hf")
    if name.count("/") != 1 or not all(name.split("/")):
        raise UsageError(f"hf:{name} names no repository; write hf:OWNER/NAME.")
    model = _title(name, choice)
    fit(model, suite, _classes(_config(name, choice)))
    return Call("rbench.hubs.hf:build", {"repo": name, "revision": choice})


def build(repo: str, revision: str = "") -> nn.Module:
    """The model that a repository's config.json describes, with its weights.

    Raises `MissingError` for files that are not there, or that the installed packages cannot read.
    """
    model, config = _title(repo, revision), _config(repo, revision)
    weights = from_hf(repo, NAMES, revision or None, model)
    provenance = {"source": repo, "commit": weights.parent.name, **told(weights)}
    if "architecture" in config:
        require("timm", "hf")
        return _of_timm(config, weights, model, provenance)
    if "architectures" in config:
        from rbench.hubs.transformers import of_transformers

        from_hf(repo, ("preprocessor_config.json",), revision or None, model)
        return of_transformers(weights.parent, model, provenance)
    raise MissingError(
        f"the config.json of {model} names no architecture of timm or transformers; build it by code: file.py:function."
    )


def _title(repo: str, revision: str) -> str:
    return f"hf:{repo}@{revision}" if revision else f"hf:{repo}"


def _config(repo: str, revision: str) -> dict[str, Any]:
    path = from_hf(repo, ("config.json",), revision or None, _title(repo, revision))
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise MissingError(f"{path} is no JSON of settings ({error}); fetch it again.") from error


def _classes(config: Mapping[str, Any]) -> int | None:
    """How many classes a config.json of timm or transformers tells of, None if it does not say."""
    told = config.get("num_classes", config.get("pretrained_cfg", {}).get("num_classes"))
    if told is None and "id2label" in config:
        told = len(config["id2label"])
    return int(told) if told is not None else None


def _of_timm(config: Mapping[str, Any], weights: Path, model: str, provenance: Mapping[str, Any]) -> nn.Module:
    """A model of timm as its config.json has it, in today's form or the older one without nested settings."""
    import timm

    name = str(config["architecture"])
    if not timm.is_model(name):
        remedy = f"{model} may need a newer timm: pip install -U timm."
        raise no_model(name, timm.list_models(), version("timm"), remedy)
    settings = {**config.get("pretrained_cfg", config), "file": str(weights), "architecture": name}
    known = {key: value for key, value in settings.items() if key in _fields()}
    classes = known["num_classes"] = _classes(config) or 1000
    net = filled(name, known, model, num_classes=classes, **config.get("model_args", {}))
    return presented(net, {**provenance, "package": version("timm"), "weights": model})


def _fields() -> set[str]:
    from dataclasses import fields

    from timm.models import PretrainedCfg

    return {each.name for each in fields(PretrainedCfg)} - {"url", "hf_hub_id", "hf_hub_filename", "source"}
