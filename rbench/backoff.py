"""Blocks in smaller batches, where those of the run do not fit in a worker's memory."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rbench import memory
from rbench.catalog import resolve
from rbench.errors import ScarceError
from rbench.types import Job

STAYS = "What is committed stays."
MORE = "Give it more memory: end what else runs there, or take fewer --workers"
TOLD = "out of memory on %s with batches of %d; %d from here on, which moves nothing but rounding"
Task = tuple[Any, ...]


class BackOff:
    """The bench of one worker, and the tasks that are run on it.

    Tasks of the engine are a job and a group of blocks. Once a batch of them does not fit, half as many samples are
    taken at a time, of this group and of all that follow: the blocks that are left are run again, those done are not.
    Every sample has its own random numbers, so that only rounding can tell; an attack in someone's own file may break
    that by drawing from torch's own generator.
    """

    def __init__(self, bench: Any) -> None:
        """Anything may be a bench; only one that has a `batch` can do with less."""
        self._given = self._bench = bench

    def run(self, function: Callable[..., Any], task: Task) -> Any:
        """What `function(bench, *task)` returns; raises `ScarceError` if not even a batch of one fits."""
        if not (task and isinstance(task[0], Job) and hasattr(self._bench, "batch")):
            return function(self._bench, *task)
        found: list[Any] = []
        todo = deque(self._parts(*task))
        while todo:
            try:
                found += function(self._bench, *todo[0])
            except Exception as error:
                if not memory.out_of_memory(error):
                    raise
                said = memory.reason(error)
            else:
                todo.popleft()
                continue
            self._halve(said, *todo[0])  # out here nothing holds the frames, and the tensors, of what failed
            todo = deque(part for each in todo for part in self._parts(*each))
        return found

    def _parts(self, job: Job, group: Sequence[range]) -> Iterator[Task]:
        """A group in parts of as many blocks as a batch has room for; as it is, as long as nothing was too large."""
        size = len(group) if self._bench is self._given else max(1, self._bench.batch // max(map(len, group)))
        return ((job, group[start : start + size]) for start in range(0, len(group), size))

    def _halve(self, said: str, job: Job, group: Sequence[range]) -> None:
        """Go on in half of what was too large; raises `ScarceError` where that would be nothing, or another result."""
        memory.free()
        bench, where = self._bench, place_of(self._bench.device)
        held, remedy = f"out of memory on {where} ({said}): probe {job.probe.name!r}", remedy_on(where)
        if job.draws > 1:
            anew = f"Or begin anew: --fresh --batch {max(1, bench.batch // 2)}."
            what = f"{held} is of a suite for random models, which draw other numbers in smaller batches."
            raise ScarceError(what, f"{remedy} {anew}")
        if job.probe.attack is not None and hasattr(resolve(job.probe.attack.use), "third_party"):
            raise ScarceError(
                f"{held} runs another package's attack on all {len(group[0])} samples of a block.", remedy
            )
        # A group may hold fewer samples than a batch has room for; a view has more images than samples.
        tried = bench.batch if job.probe.data is not None else min(bench.batch, sum(map(len, group)))
        if tried == 1:
            raise ScarceError(f"{held} does not fit even in batches of 1.", remedy)
        self._bench = smaller(self._given, tried // 2)
        logging.getLogger("rbench").warning(TOLD, where, tried, tried // 2)


def smaller(bench: Any, batch: int) -> Any:
    """A bench whose attacks take `batch` samples at a time, and whose judges see so many images at once."""
    from rbench.parted import Parted

    def judged(pair: Any) -> Any:
        return pair._replace(model=Parted(pair.model, batch))

    teams: Mapping[Any, Any] = bench.surrogates
    surrogates = {team: judged(pair) for team, pair in teams.items()}
    return replace(bench, batch=batch, own=judged(bench.own), surrogates=surrogates)


def begun(prepare: Callable[[Callable[[int], None]], Any], tick: Callable[[int], None], place: str) -> BackOff:
    """The bench that `prepare(tick)` makes; raises `ScarceError` if its place has no memory for it."""
    return BackOff(made(prepare, tick, place))


def made(prepare: Callable[[Callable[[int], None]], Any], tick: Callable[[int], None], place: str) -> Any:
    """What `prepare(tick)` makes, such as a bench; raises `ScarceError` if its place has no memory for it."""
    try:
        return prepare(tick)
    except Exception as error:
        if not memory.out_of_memory(error):
            raise
        where = f" on {place}" if place else ""
        what = f"out of memory{where} as a worker loaded model and data ({memory.reason(error)})."
        raise ScarceError(what, remedy_on(place)) from None


def remedy_on(where: str) -> str:
    """What to do about a want of memory on a device."""
    other = ", or name another GPU (--device cuda:1)" if where.startswith("cuda") else ""
    return f"{STAYS} {MORE}{other}."


def place_of(device: Any) -> str:
    """The name of a torch device, of a GPU with its number."""
    if device.type == "cuda" and device.index is None:
        import torch

        return f"cuda:{torch.cuda.current_device()}"
    return str(device)
