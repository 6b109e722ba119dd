"""Independent tasks in this process or in several, each with one thread of its own."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import Synchronized
from types import TracebackType
from typing import Any, Self

from rbench.errors import InterruptedRunError

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)
POLL = 0.2  # seconds between two looks at the counter of passes
SLOW = ("torch", "torchvision", "torch._dynamo", "scipy.stats", "sklearn.datasets", "matplotlib.figure")  # to import
_state: dict[str, Any] = {}


class Workers:
    """Runs `function(bench, *task)`; with one worker here and now, with more in processes that start on need."""

    def __init__(
        self, count: int, prepare: Callable[[Callable[[int], None]], Any], bench: Any, tick: Callable[[int], None]
    ) -> None:
        """`prepare(tick)` makes the bench of a process; `bench` is this process' own; `tick` hears of passes."""
        self._count, self._prepare, self._bench, self._tick = count, prepare, bench, tick
        self._pool: ProcessPoolExecutor | None = None
        self._passes: Synchronized[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if kind is not None:
            for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - no public way to stop a task
                process.terminate()
        with suppress(KeyboardInterrupt):
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of all tasks as they come, in no particular order."""
        if self._count == 1 or (len(tasks) == 1 and self._pool is None):
            for task in tasks:
                yield function(self._bench, *task)
            return
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
            initial = (self._prepare, self._passes, dict(os.environ))
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
    prepare: Callable[[Callable[[int], None]], Any], passes: "Synchronized[int]", environment: dict[str, str]
) -> None:
    """Prepare a process: one thread for torch, and an end as soon as its parent ends, however that happens."""
    os.environ.clear()  # a process may be a fork of one that started under another environment
    os.environ.update(environment)
    import torch

    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)

    def count(samples: int) -> None:
        with passes.get_lock():
            passes.value += samples

    _state["prepare"] = lambda: prepare(count)


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _call(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    """Run a task; the first one in a process prepares it, so that errors travel as those of a task."""
    if "bench" not in _state:
        _state["bench"] = _state["prepare"]()
    return function(_state["bench"], *task)
