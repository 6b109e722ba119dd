"""Analyses of trained models: what the figures of papers show, as data.

An analysis is a module with one function of its own name, from a model to the networks that are made of it, each with
what tells it from the others; `shown.py` and `measured.py` serve them all. One that looks at images itself takes what
it is `asked`, too (`asked.py`), and gives rows.
"""

import pkgutil

SERVING = ("asked", "measured", "shown")


def names() -> list[str]:
    """The analyses."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SERVING)
