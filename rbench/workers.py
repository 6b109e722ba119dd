"""Independent tasks in this process, in several, or elsewhere, each worker with one thread of its own."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import Synchronized
from types import TracebackType
from typing import Any, Protocol, Self

from rbench import memory
from rbench.backoff import BackOff, begun
from rbench.errors import InterruptedRunError

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)
POLL = 0.2  # seconds between two looks at the counter of passes
SLOW = ("torch", "torchvision", "torch._dynamo", "scipy.stats", "sklearn.datasets", "matplotlib.figure")  # to import
_state: dict[str, Any] = {}


Tick = Callable[[int], None]
Prepare = Callable[[Tick], Any]


class Pool(Protocol):
    """Several workers, each with a bench of its own."""

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of `function(bench, *task)` for all tasks as they come, in no particular order."""
        ...

    def close(self, *, failed: bool) -> None:
        """End the workers: at once if something failed, else when they have finished."""
        ...


class Away(int):
    """How many workers there are elsewhere than on this machine; `pool(prepare, tick)` makes the pool of them."""

    pool: Callable[[Prepare, Tick], Pool]

    def __new__(cls, count: int, pool: Callable[[Prepare, Tick], Pool]) -> Self:
        """So many workers of a pool."""
        self = super().__new__(cls, count)
        self.pool = pool
        return self


class Spread(int):
    """How many workers there are on this machine, one on each of some devices."""

    places: tuple[str, ...]

    def __new__(cls, places: Sequence[str]) -> Self:
        """A worker on each of these, such as cuda:0 and cuda:1; they exchange nothing."""
        self = super().__new__(cls, len(places))
        self.places = tuple(places)
        return self


class Workers:
    """Runs `function(bench, *task)`; with one worker here and now, with more in a pool that is started on need."""

    def __init__(self, count: int, prepare: Prepare, bench: Any, tick: Tick) -> None:
        """`prepare(tick)` makes the bench of a worker; `bench` is this process' own; `tick` hears of passes."""
        self._count, self._prepare, self._own, self._tick = count, prepare, BackOff(bench), tick
        self._pool: Pool | None = None

    @property
    def away(self) -> bool:
        """Whether the workers are elsewhere, and share no disk with this process."""
        return isinstance(self._count, Away)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close(failed=kind is not None)

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of all tasks as they come, in no particular order."""
        alone = self._count == 1 or (len(tasks) == 1 and self._pool is None)
        if not tasks or (alone and not self.away):
            for task in tasks:
                yield self._own.run(function, task)
            return
        if self._pool is None:
            places = self._count.places if isinstance(self._count, Spread) else ()
            here = partial(Processes, int(self._count), places=places)
            self._pool = (self._count.pool if isinstance(self._count, Away) else here)(self._prepare, self._tick)
        yield from self._pool.map(function, tasks)


class Processes:
    """Processes of this machine, which start on need; once one of them is killed, the run ends.

    If there are `places`, each process has the next one of them for its own.
    """

    def __init__(self, count: int, prepare: Prepare, tick: Tick, places: Sequence[str] = ()) -> None:
        self._count, self._prepare, self._tick, self._places = count, prepare, tick, tuple(places)
        self._pool: ProcessPoolExecutor | None = None
        self._passes: Synchronized[int] | None = None

    def close(self, *, failed: bool) -> None:
        """Wait for the processes, or stop them if something failed."""
        if self._pool is None:
            return
        if failed:
            for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - no public way to stop a task
                process.terminate()
        with suppress(KeyboardInterrupt):
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of all tasks as they come."""
        pool, passes = self._started()
        with held():  # a pool, or a process, whose start was cut short can neither work nor end
            pending = {pool.submit(_call, function, task) for task in tasks}
        while pending:
            done, pending = wait(pending, timeout=POLL, return_when=FIRST_COMPLETED)
            with passes.get_lock():
                count, passes.value = passes.value, 0
            self._tick(count)
            for future in sorted(done, key=lambda ended: ended.exception() is not None):  # what is good is kept first
                try:
                    yield future.result()
                except BrokenProcessPool as error:
                    raise InterruptedRunError(
                        "a worker process was killed, perhaps for want of memory; what is committed stays. "
                        "Run the same command again, with fewer --workers."
                    ) from error

    def _started(self) -> tuple[ProcessPoolExecutor, "Synchronized[int]"]:
        if self._pool is None or self._passes is None:
            context = _context()
            self._passes = context.Value("q", 0)
            if self._places:
                memory.free()  # of this process, which shares a GPU with one of the workers
            initial = (self._prepare, self._passes, dict(os.environ), self._places, context.Value("q", 0))
            self._pool = ProcessPoolExecutor(self._count, context, initializer=_begin, initargs=initial)
        return self._pool, self._passes


@contextmanager
def held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end of the block; processes that are started inside never see Ctrl-C.

    A terminal sends Ctrl-C to every process of a group; only the one that a user talks to answers it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in INTERRUPTIONS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a child process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for each in dict.fromkeys(came):
            signal.raise_signal(each)


def _context() -> BaseContext:
    """How processes start: on Linux as forks of one that has imported the slow modules of this one, and nothing else.

    That one has no threads, locks or GPU to copy, and saves every worker some seconds. macOS must not fork its
    libraries, and Windows cannot.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in SLOW if name in sys.modules])
    return context


def _begin(
    prepare: Prepare,
    passes: "Synchronized[int]",
    environment: dict[str, str],
    places: Sequence[str],
    taken: "Synchronized[int]",
) -> None:
    """Prepare a process: one thread for torch, and an end as soon as its parent ends, however that happens.

    `taken` counts the places that other processes have taken.
    """
    os.environ.clear()  # a process may be a fork of one that started under another environment
    os.environ.update(environment)
    import torch

    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)

    def count(samples: int) -> None:
        with passes.get_lock():
            passes.value += samples

    place = ""
    if places:
        with taken.get_lock():
            place, taken.value = places[taken.value % len(places)], taken.value + 1

    def prepared() -> BackOff:
        settle(place)
        return begun(prepare, count, place)

    _state.update(place=place, prepare=prepared)


def settle(place: str) -> None:
    """Let `cuda` mean one GPU from now on in this process; other devices need nothing."""
    if place.startswith("cuda"):
        import torch

        torch.cuda.set_device(place)


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _call(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    """Run a task; the first one in a process prepares it, so that errors travel as those of a task."""
    if "own" not in _state:
        _state["own"] = _state["prepare"]()
    return _state["own"].run(function, task)
