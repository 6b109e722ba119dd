"""What can go wrong, said so that the reader can act: what, where and the remedy, in one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class RbenchError(Exception):
    """Anything that the user can mend; the command line prints it without a traceback and leaves with `exit_code`.

    `code` names the diagnostic that refused, if one did: `rbench explain CODE` says more.
    """

    exit_code = 3

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        """The message, after its code in brackets."""
        message = super().__str__()
        return f"[{self.code}] {message}" if self.code else message


class UsageError(RbenchError, ValueError):
    """A name, an argument or a TOML file is wrong."""


class MissingError(RbenchError):
    """A dataset, a checkpoint or a digest is missing or wrong."""

    exit_code = 4


class ModelError(RbenchError):
    """A model does not behave like a classifier: images in [0, 1] to finite logits, unchanged by being asked."""

    exit_code = 4


class AttackError(RbenchError):
    """An attack crashed or broke the rules of the game; never counted as robustness, never as success."""

    exit_code = 4


class UndefinedError(ValueError):
    """A score has no value, because a baseline's own is 0 or less; the others of the evaluation stand."""


class StoreError(RbenchError):
    """A run folder cannot be written, or belongs to another run."""

    exit_code = 4


class InterruptedRunError(RbenchError):
    """The evaluation stopped before its end; what is committed stays, and the same command resumes it.

    Where nothing is committed, `kept` is false, and the same command begins again.
    """

    exit_code = 5
    kept = True


class ScarceError(InterruptedRunError):
    """There is too little memory, however small batches are; `what` is the message without the remedy."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".rstrip())
        self.what = what


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error for a misspelt name, with its nearest match or, failing that, all that is known."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    place = f" in {where}" if where else ""
    if near:
        return UsageError(f"no {kind} named {name!r}{place}. Did you mean {near[0]!r}?")
    listed = ", ".join(known) if known else "none"
    return UsageError(f"no {kind} named {name!r}{place}. Known: {listed}.")
