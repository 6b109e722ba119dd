"""Workers on a Ray cluster. This is the only module that imports ray, and only when it is used.

Head and workers share no disk: what workers need travels by Ray's object store, once to each node, and results travel
back.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rbench.away.crew import Crew, Task
from rbench.away.hands import HERE, SAME, Answer, Hand, versions
from rbench.away.parcels import pack
from rbench.errors import UsageError
from rbench.workers import INTERRUPTIONS, POLL, Away, Pool, Prepare, Tick

REACH = 5.0  # seconds to wait for the head
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def workers(count: int | None, address: str | None, device: str, share: float) -> Away:
    """`count` workers on the cluster at an address, by default as many as it has room for; a GPU's work takes `share`.

    Raises `UsageError` where ray is not installed, no cluster answers, or there is room for no worker.
    """
    if not share > 0:
        raise UsageError(f"gpus = {share} must be greater than 0: the share of a GPU that each worker gets.")
    ray = _ray()
    ours = _connect(ray, address)
    gpus = share if device.startswith("cuda") else 0.0
    have = ray.cluster_resources()
    room = _room(have.get("CPU", 0.0), have.get("GPU", 0.0), gpus)
    if room < 1:
        if ours:
            ray.shutdown()
        raise UsageError(
            f"the Ray cluster has room for no worker, which asks for 1 CPU{f' and {gpus:g} GPU' if gpus else ''}: it "
            f"has {have.get('CPU', 0):g} CPU and {have.get('GPU', 0):g} GPU in all. Add nodes, or change --device."
        )
    return Away(count or room, partial(_pool, ray, count or room, gpus, ours))


def _room(cpus: float, gpus: float, share: float) -> int:
    """How many workers find room, if each takes one CPU and a share of a GPU; no share is cut in two."""
    if not share:
        return int(cpus)
    return min(int(cpus), int(gpus) * int(1 / share) if share <= 1 else int(gpus / share))


def _pool(ray: Any, count: int, gpus: float, ours: bool, prepare: Prepare, tick: Tick) -> Pool:
    return Crew(Cluster(ray, gpus, prepare, ours=ours), count, tick)


class Actor(Hand):
    """A worker as an actor of Ray; files come from the object store of its node."""

    def __init__(self) -> None:
        place = _ray().get_runtime_context().get_node_id()[:8]
        super().__init__(f"{socket.gethostname()} ({place})")

    def begin(self, data: bytes, files: dict[str, Any], *told: dict[str, str]) -> Answer:
        """Make the bench; `files` are references."""
        return self.prepare(data, lambda digest: _ray().get(files[digest]), *told)

    def run(self, data: bytes, files: dict[str, Any]) -> Answer:
        """Run a task."""
        return self.work(data, lambda digest: _ray().get(files[digest]))


class Cluster:
    """A Ray cluster as the ground of a crew."""

    def __init__(self, ray: Any, gpus: float, prepare: Prepare, *, ours: bool) -> None:
        """`ours` says that the connection ends with the crew."""
        self._ray, self._ours = ray, ours
        self._files: dict[str, Any] = {}
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD")(Actor)
        self._told = (*self._packed(prepare), versions(), _environment())

    def hire(self) -> tuple[Any, Any]:
        """An actor that makes its bench."""
        actor = self._actor.remote()
        return actor, actor.begin.remote(*self._told)

    def give(self, worker: Any, function: Callable[..., Any], task: Task) -> Any:
        """A reference to the answer of an actor."""
        return worker.run.remote(*self._packed((function, task)))

    def answers(self, tickets: Sequence[Any]) -> list[tuple[Any, Answer]]:
        """The answers that have come."""
        done, _ = self._ray.wait(tickets, num_returns=1, timeout=POLL)
        if done:
            done, _ = self._ray.wait(tickets, num_returns=len(tickets), timeout=0)
        return [(ticket, self._answer(ticket)) for ticket in done]

    def dismiss(self, worker: Any) -> None:
        """Kill an actor."""
        self._ray.kill(worker)

    def leave(self) -> None:
        """Close the connection."""
        if self._ours:
            self._ray.shutdown()

    def room(self) -> str:
        """What is free, and what there is in all."""
        have, free = self._ray.cluster_resources(), self._ray.available_resources()
        parts = (f"{free.get(kind, 0):g} of {have.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))
        return f"of the Ray cluster are free {' and '.join(parts)}"

    def _packed(self, value: Any) -> tuple[bytes, dict[str, Any]]:
        """A value as bytes, and references to the files that it wants, each of which is put once."""
        parcel = pack(value)
        for digest, content in parcel.files.items():
            if digest not in self._files:
                self._files[digest] = self._ray.put(content)
        return parcel.data, {digest: self._files[digest] for digest in parcel.files}

    def _answer(self, ticket: Any) -> Answer:
        """An answer, or what became of the actor that owes it."""
        errors = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(ticket)
        except errors.RayTaskError as error:  # the actor lives, but could not even begin
            return Answer(error=UsageError(f"a worker cannot run this rbench: {_last_line(error)} {SAME}"))
        except errors.RayError as error:
            text = " ".join(str(error).split())
            memory = isinstance(error, errors.OutOfMemoryError) or "low on memory" in text
            return Answer(lost=text, memory=memory)
        return answer


def _environment() -> dict[str, str]:
    """Where the driver looks for data, in words that hold in another working directory."""
    found = {name: os.environ[name] for name in HERE if name in os.environ}
    return found | {name: str(Path(found[name]).resolve()) for name in HERE[:2] if name in found}


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _ray() -> Any:
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs the package ray: pip install 'rbench[ray]'.") from error
    return ray


def _connect(ray: Any, address: str | None) -> bool:
    """Connect to a cluster, unless the caller has; whether that was needed."""
    if ray.is_initialized():
        return False
    _reach(address)
    try:
        with _handlers_kept():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:  # RuntimeError: versions differ
        raise UsageError(f"no Ray cluster can be used{_at(address)}: {' '.join(str(error).split())}") from error
    return True


def _reach(address: str | None) -> None:
    """Raise `UsageError` for a head that does not listen: ray itself would try for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers{_at(address)} ({error}). Name the head's host and port with --address, as "
            "`ray start --head` prints them."
        ) from error


def _at(address: str | None) -> str:
    return f" at {address}" if address else ""


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep this process' answers to Ctrl-C and SIGTERM, which ray replaces by its own."""
    ours = threading.current_thread() is threading.main_thread()  # signals are the main thread's
    before = {number: signal.getsignal(number) for number in INTERRUPTIONS if ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
