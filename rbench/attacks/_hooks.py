"""What attacks on dynamic models ask of them: their hooks, which `rbench/models/hooks.py` describes."""

from collections.abc import Callable
from typing import Any

from torch import nn

from rbench.errors import UsageError


def hook(model: nn.Module, name: str, attack: str) -> Callable[..., Any]:
    """A hook of a model by its name; raises `UsageError` if the model has none."""
    found = getattr(model, name, None)
    if not callable(found):
        raise UsageError(
            f"{attack} needs a model with the hook {name!r}; give the model that method (see rbench/models/hooks.py), "
            "or use pgd."
        )
    return found
