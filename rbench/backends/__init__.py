"""Attacks of other packages in the place of native ones: which of them answers the question of which.

A backend is written `pyautoattack`, or `torchattacks:NAME` for one attack of that package. Nothing here imports either.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rbench.errors import MissingError, UsageError, unknown
from rbench.types import Call

FGSM, PGD, MIFGSM, AUTOATTACK, APGD, FAB, SQUARE = (
    f"rbench.attacks.{name}:{name}" for name in ("fgsm", "pgd", "mifgsm", "autoattack", "apgd", "fab", "square")
)
PACKAGES = ("pyautoattack", "torchattacks")
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Match:
    """The native attack that another package's attack repeats, and the arguments with which it does."""

    use: str
    holds: Callable[[Arguments], bool] = lambda args: True  # noqa: ARG005 - any arguments


def _plain_pgd(args: Arguments) -> bool:
    return args.get("loss", "ce") == "ce" and args.get("restarts", 1) == 1 and args.get("eot", 1) == 1


def _loss(*losses: str) -> Callable[[Arguments], bool]:
    return lambda args: args.get("loss", "ce") in losses


PYAUTOATTACK: Mapping[str, Match] = {
    "autoattack": Match(AUTOATTACK, lambda args: args.get("version", "standard") in ("standard", "rand")),
    "apgd": Match(APGD, _loss("ce", "dlr", "dlr-targeted")),
    "fab": Match(FAB),
    "square": Match(SQUARE),
}
TORCHATTACKS: Mapping[str, Match] = {
    "FGSM": Match(FGSM),
    "PGD": Match(PGD, _plain_pgd),
    "PGDL2": Match(PGD, _plain_pgd),
    "BIM": Match(PGD, lambda args: _plain_pgd(args) and args.get("start") is False),
    "MIFGSM": Match(MIFGSM, lambda args: _plain_pgd(args) and not args.get("start", False)),
    "APGD": Match(APGD, _loss("ce", "dlr")),
    "APGDT": Match(APGD, lambda args: args.get("loss") == "dlr-targeted" and args.get("targets", 9) == 9),
    "FAB": Match(FAB, lambda args: args.get("targets", 9) == 9),
    "Square": Match(SQUARE),
    "AutoAttack": Match(AUTOATTACK, lambda args: args.get("version", "standard") in ("standard", "rand")),
}


def counterpart(backend: str, attack: Call, *, forced: bool = False) -> Call | None:
    """The backend's attack that answers the question of a native one, or None.

    `forced` takes any attack of torchattacks for any native one, with the native one's steps and step. Raises
    `UsageError` for a backend that does not exist.
    """
    package, name = split(backend)
    if package == "pyautoattack":
        args = {key: value for key, value in attack.args.items() if key != "stop"}  # it always leaves the fallen alone
        for function, match in PYAUTOATTACK.items():
            if match.use == attack.use and match.holds(args):
                return Call(f"rbench.backends.pyautoattack:{function}", args)
        return None
    same = TORCHATTACKS.get(name)
    if forced or (same is not None and same.use == attack.use and same.holds(attack.args)):
        args = {"name": name, "like": attack.use, "args": dict(attack.args)}
        return Call("rbench.backends.torchattacks:attack", args)
    return None


def split(backend: str) -> tuple[str, str]:
    """A backend's package and, for torchattacks, the name of the attack; raises `UsageError` for any other word."""
    package, colon, name = backend.partition(":")
    if package not in PACKAGES:
        raise unknown("backend", backend, ["pyautoattack", "torchattacks:PGD"])
    if package == "pyautoattack" and colon:
        raise UsageError("backend 'pyautoattack' takes no name; it has a counterpart for each of its attacks.")
    if package == "torchattacks" and not name.isidentifier():
        raise UsageError("backend 'torchattacks' needs the name of an attack; write torchattacks:PGD.")
    return package, name


def require(backend: str) -> None:
    """Raise `MissingError` with the remedy unless a backend's package is installed."""
    package, _ = split(backend)
    if find_spec(package) is None:
        raise MissingError(f"the package {package!r} is not installed; run: pip install 'rbench[{package}]'")
