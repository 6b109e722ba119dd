"""rbench: measure the robustness of image classifiers.

>>> import rbench
>>> run = rbench.evaluate("ews-digits", suite="digits-linf", limit=100)  # doctest: +SKIP
>>> run.scores["pgd20"].value, run.scores["pgd20"].interval  # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public names and where they live; imported on first use, so that `import rbench` costs nothing.
_PUBLIC = {
    "evaluate": "rbench.api",
    "load_model": "rbench.api",
    "table": "rbench.api",
    "frames": "rbench.api",
    "site": "rbench.api",
    "card": "rbench.api",
    "train": "rbench.api",
    "plan": "rbench.planning",
    "timed_plan": "rbench.planning",
    "evaluate_table": "rbench.filling",
    "plan_table": "rbench.filling",
    "evaluate_shard": "rbench.sharding",
    "merge": "rbench.sharding",
    "check": "rbench.api",
    "corrupt": "rbench.corruptions.corrupt",
    "security_curve": "rbench.studies",
    "crosscheck": "rbench.studies",
    "compare": "rbench.comparing",
    "figure": "rbench.studies",
    "gate": "rbench.gating.gate",
    "explain": "rbench.api",
    "RbenchError": "rbench.errors",
    "Threat": "rbench.types",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - the names are the dictionary's keys


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rbench' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
