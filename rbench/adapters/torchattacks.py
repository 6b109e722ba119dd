"""Any attack of torchattacks as a native one: `use = "torchattacks:DIFGSM"`, with its own names of arguments.

What the threat says is given by the threat: eps, norm, and the seed and the number of classes. All else is left at that
package's defaults unless the suite says otherwise; fractions are welcome where it wants a float (`alpha = "2/255"`). H.
Kim, "Torchattacks: a PyTorch repository for adversarial attacks", 2020.
"""

import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.adapters.mends import mended
from rbench.attacks._ball import Ball
from rbench.backends._third_party import third_party
from rbench.backends.torchattacks import L2_ONLY, _Asked, _sibling
from rbench.errors import MissingError, UsageError, unknown
from rbench.referee import margin_of
from rbench.rng import Draws
from rbench.types import Threat, fraction

EPS = ("eps", "max_epsilon")  # as its attacks call the radius; one that has neither knows no ball
FROM_THREAT = ("model", *EPS, "norm", "seed", "n_classes", "device", "verbose")
WRAPPERS = ("MultiAttack", "LGV")  # made of other attacks, or of data
REL, ABS = 1e-5, 1e-6  # what the referee allows beyond the ball, for rounding
Attack = Callable[..., Tensor]


@cache
def attack(name: str) -> Attack:
    """The attack of a name, with the signature of attacks here, and two arguments more.

    `best` returns, of all images in the ball that the attack asked the model about, the one of least margin, where it
    asked about whole batches; `mend` names defects of the package that are mended first (`rbench show torchattacks`).
    An attack that knows no eps is projected into the ball where it left it; the referee judges all others as they are.
    Raises `MissingError` without the package, and `UsageError` for a name that it has not.
    """
    kind = _kind(name)
    own = {key: p for key, p in inspect.signature(kind).parameters.items() if key not in FROM_THREAT}

    @third_party("torchattacks")
    def adapted(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        *,
        rng: Draws,
        best: bool = False,
        mend: Sequence[str] = (),
        **args: Any,
    ) -> Tensor:
        settings = {**_of_threat(name, kind, threat, model, x, rng), **_numbers(args, own)}
        asked = _Recorded(model, x, y, threat) if best else _Asked(model, x)
        with warnings.catch_warnings(), _seeded(rng.integer()):
            warnings.simplefilter("ignore")  # an old package on a new Python
            x_adv: Tensor = mended(kind, name, mend)(asked, **settings)(x, y).detach()
        if not _knows_eps(kind):
            x_adv = Ball(x, threat).project(x_adv)
        return asked.better(x_adv) if isinstance(asked, _Recorded) else x_adv

    adapted.__name__ = name
    adapted.__signature__ = _signature(own)  # type: ignore[attr-defined]  # read when arguments are bound
    return adapted


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators of numpy and Python, from which Pixle, OnePixel and others draw; torch's is seeded before."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002 - the package draws from the global one
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


def _kind(name: str) -> type[Any]:
    """The class of an attack."""
    if find_spec("torchattacks") is None:
        raise MissingError("the package 'torchattacks' is not installed; run: pip install 'rbench[torchattacks]'")
    import torchattacks

    names = [key for key in torchattacks.__all__ if key not in WRAPPERS]
    if name not in names:
        raise unknown("attack", name, names, "torchattacks")
    found: type[Any] = getattr(torchattacks, name)
    return found


def _signature(own: dict[str, inspect.Parameter]) -> inspect.Signature:
    """The parameters of attacks here, and an attack's own ones by keyword, typed as their defaults are."""
    given = [inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD) for key in ("model", "x", "y", "threat")]
    more = {"rng": (inspect.Parameter.empty, Draws), "best": (False, bool), "mend": ((), tuple[str, ...])}
    named = [
        inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=t) for k, (d, t) in more.items()
    ]
    named += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=p.default, annotation=_type(p.default))
        for key, p in own.items()
    ]
    return inspect.Signature([*given, *named])


def _type(default: Any) -> Any:
    """The type that an argument is held to: that of its default, or text that says a float exactly."""
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return float | int | str  # its defaults are careless: kappa=0, c=1
    return str if isinstance(default, str) else inspect.Parameter.empty


def _of_threat(name: str, kind: type[Any], threat: Threat, model: nn.Module, x: Tensor, rng: Draws) -> dict[str, Any]:
    """What the threat and the model decide; raises `UsageError` for an attack in another norm."""
    wanted = inspect.signature(kind).parameters
    if _knows_eps(kind) and "norm" not in wanted and (name in L2_ONLY) != (threat.norm == "l2"):
        raise UsageError(f"torchattacks:{name} is no attack in {threat.norm}; try torchattacks:{_sibling(name)}.")
    known = {**dict.fromkeys(EPS, threat.radius), "norm": {"linf": "Linf", "l2": "L2"}[threat.norm]}
    known |= {"seed": rng.integer()} if "seed" in wanted else {}
    known |= {"n_classes": model(x[:1]).shape[1]} if "n_classes" in wanted else {}
    return {key: value for key, value in known.items() if key in wanted}


def _knows_eps(kind: type[Any]) -> bool:
    return any(key in inspect.signature(kind).parameters for key in EPS)


def _numbers(args: dict[str, Any], own: dict[str, inspect.Parameter]) -> dict[str, Any]:
    """Arguments with text in the place of numbers turned into numbers; raises `UsageError` for text that is none."""
    return {
        key: float(fraction(value, key)) if isinstance(value, str) and not isinstance(own[key].default, str) else value
        for key, value in args.items()
    }


class _Recorded(_Asked):
    """A model that remembers, of the images in the ball that it was asked about, the one of least margin for each x."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, threat: Threat) -> None:
        super().__init__(model, x)
        self._ball, self._y = Ball(x, threat), y
        self._image, self._margin = x.clone(), x.new_full((len(x),), torch.inf)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the model."""
        logits = super().forward(x)
        self._see(x.detach(), logits.detach())
        return logits

    @torch.no_grad()
    def better(self, x_adv: Tensor) -> Tensor:
        """What was returned, or what was remembered where that has less margin."""
        self._see(x_adv, super().forward(x_adv))
        return torch.where(self._margin.isfinite()[:, None, None, None], self._image, x_adv)

    def _see(self, image: Tensor, logits: Tensor) -> None:
        if image.shape != self._image.shape:
            return  # a part of the batch: whose images these are is not known
        order = torch.inf if self._ball.norm == "linf" else 2
        delta = (image - self._ball.x).flatten(1)
        inside = (delta.norm(p=order, dim=1) <= self._ball.radius * (1 + REL) + ABS) & (image.flatten(1).amax(1) <= 1)
        margin = margin_of(logits, self._y)
        better = inside & (image.flatten(1).amin(1) >= 0) & (margin < self._margin)
        self._margin = torch.where(better, margin, self._margin)
        self._image = torch.where(better[:, None, None, None], image, self._image)
