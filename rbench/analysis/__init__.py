"""Analyses of trained models: what the figures of papers show, as data.

An analysis is a module with one function of its own name, from a model to the networks that are made of it, each with
what tells it from the others and, unless it is confidence and error, what is asked about it. By name it may also take
`x`, an image [1, C, H, W] of the suite, `load`, from the name of another model to its network, `show`, from a network
to the images that it is shown, and `train`, which loads the training split. One that looks at images itself takes what
it is `asked` (`asked.py`) and gives rows. `shown.py` and `measured.py` serve them all.
"""

import pkgutil

SERVING = ("asked", "measured", "shown")


def names() -> list[str]:
    """The analyses."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SERVING)
