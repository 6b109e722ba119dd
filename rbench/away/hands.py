"""What one worker far away does: it makes its bench, runs tasks on it, and answers for itself, whatever happens."""

import os
import pickle
import platform
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

from rbench import __version__
from rbench.away.parcels import unpack
from rbench.backoff import BackOff
from rbench.catalog import source_digest
from rbench.errors import MissingError, RbenchError, ScarceError, UsageError
from rbench.memory import out_of_memory

Fetch = Callable[[str], bytes]
HERE = ("RBENCH_DATA", "RBENCH_FROST", "RBENCH_DOWNLOAD")  # a node's own ones count before those of the driver
SAME = "Install the same packages on every node, or run on nodes that have them."
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pillow",
    "pyautoattack",
    "torchattacks",
    "imagecorruptions",
    "av",
)


@dataclass(frozen=True)
class Answer:
    """What came of a task: a value and the passes that it took, or an error, or the loss of the worker and its reason.

    `memory` says that the worker was lost for want of memory.
    """

    value: Any = None
    passes: int = 0
    error: BaseException | None = None
    lost: str = ""
    memory: bool = False


class Hand:
    """A worker on a node that has a name."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._own = BackOff(None)
        self._passes = 0

    def prepare(self, data: bytes, fetch: Fetch, wanted: Mapping[str, str], environment: Mapping[str, str]) -> Answer:
        """Make the bench by the function in a parcel; an error names the node, for it is the node's."""
        try:
            agree(wanted, versions())
            import torch

            torch.set_num_threads(1)
            for name, value in environment.items():
                os.environ.setdefault(name, value)
            self._own = BackOff(unpack(data, fetch)(self._count))
        except Exception as error:  # noqa: BLE001 - the driver decides
            return self._failed(error, here=True)
        return Answer(passes=self._taken())

    def work(self, data: bytes, fetch: Fetch) -> Answer:
        """Run the function and the arguments in a parcel; an error is the task's, but for data that this node lacks."""
        try:
            function, task = unpack(data, fetch)
            value = self._own.run(function, task)
        except Exception as error:  # noqa: BLE001 - the driver decides
            return self._failed(error, here=isinstance(error, MissingError))
        return Answer(value, self._taken())

    def _count(self, samples: int) -> None:
        self._passes += samples

    def _taken(self) -> int:
        taken, self._passes = self._passes, 0
        return taken

    def _failed(self, error: Exception, *, here: bool) -> Answer:
        if isinstance(error, ScarceError):
            return Answer(lost=f"on node {self._node}, {error.what}", memory=True)
        if out_of_memory(error):
            return Answer(lost=f"out of memory on node {self._node}: {error}", memory=True)
        if here and isinstance(error, RbenchError):
            error = type(error)(f"on node {self._node}: {error.args[0]}", code=error.code)
        return Answer(passes=self._taken(), error=_portable(error))


def versions() -> dict[str, str]:
    """What driver and workers must share, lest their results differ: versions, and the code that outcomes depend on."""
    python = ".".join(platform.python_version_tuple()[:2])
    own = {"rbench": __version__, "rbench's code": source_digest("rbench.engine:run")[:16]}
    found = {name: next(iter(distributions(name=name)), None) for name in PACKAGES}
    installed = {name: each.version for name, each in found.items() if each is not None}
    return {"python": python, **own, **installed}


def agree(wanted: Mapping[str, str], got: Mapping[str, str]) -> None:
    """Raise `UsageError` for the first version that differs between the driver, `wanted`, and this worker."""
    for name, mine in wanted.items():
        if got.get(name, mine) != mine:  # what a worker lacks is missed when it is used
            raise UsageError(f"{name} is {got[name]}, the driver's is {mine}. {SAME}")


def _portable(error: Exception) -> Exception:
    """An error that survives the way to the driver, with the worker's traceback as a note."""
    text = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made here
    except Exception:  # noqa: BLE001 - errors of third parties fail in many ways
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, RbenchError):
        copy.add_note(f"In the worker:\n{text}")
    return copy if isinstance(copy, Exception) else RuntimeError(str(error))
