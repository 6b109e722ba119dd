"""A pool of workers that come and go: each takes the next task when it is free; what a lost one held is given again."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from rbench.away.hands import Answer
from rbench.errors import InterruptedRunError
from rbench.workers import Tick

PATIENCE = 300.0  # seconds without any worker that is ready, after which a run gives up
DEATHS = 3  # of workers over one task, or in turn for each that is wanted
STAYS = "What is committed stays, and the same command resumes."
Task = tuple[Any, ...]


class Ground(Protocol):
    """Where workers stand: how they are hired, told and heard. A ticket is what an answer is awaited by."""

    def hire(self) -> tuple[Any, Any]:
        """A worker on its way, and the ticket for its first answer, that it is ready."""
        ...

    def give(self, worker: Any, function: Callable[..., Any], task: Task) -> Any:
        """The ticket for a task that a worker was given."""
        ...

    def answers(self, tickets: Sequence[Any]) -> list[tuple[Any, Answer]]:
        """The answers that have come, with their tickets, after waiting for a moment if there are none."""
        ...

    def dismiss(self, worker: Any) -> None:
        """End a worker."""
        ...

    def leave(self) -> None:
        """Go."""
        ...

    def room(self) -> str:
        """What there is for workers, as part of a sentence."""
        ...


class Crew:
    """At most `count` workers on some ground; a task whose worker is lost goes to the next one that is free."""

    def __init__(self, ground: Ground, count: int, tick: Tick) -> None:
        self._ground, self._count, self._tick = ground, count, tick
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task | None]] = {}  # by ticket; None for a worker on its way
        self._fruitless = 0
        self._deaths: Counter[int] = Counter()
        self._since = 0.0

    def close(self, *, failed: bool) -> None:  # noqa: ARG002 - nothing is in hand that would be worth waiting for
        """Dismiss all workers and leave."""
        with suppress(KeyboardInterrupt):
            for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
                self._ground.dismiss(worker)
            self._ground.leave()

    def map(self, function: Callable[..., Any], tasks: Sequence[Task]) -> Iterator[Any]:
        """The results of all tasks as they come, each once."""
        todo, left = deque(tasks), len(tasks)
        self._deaths.clear()
        self._since = time.monotonic()
        while left:
            self._hire(left)
            while todo and self._idle:
                worker, next_ = self._idle.pop(), todo.popleft()
                self._busy[self._ground.give(worker, function, next_)] = worker, next_
            for worker, task, answer in self._answers():
                if answer.lost:
                    todo.extendleft([task] if task is not None else [])
                    self._bury(worker, task, answer)
                    continue
                self._tick(answer.passes)
                if answer.error is not None:
                    raise answer.error
                self._idle.append(worker)
                if task is not None:
                    self._fruitless, left = 0, left - 1
                    yield answer.value
            self._look()

    def _hire(self, left: int) -> None:
        for _ in range(min(left, self._count) - len(self._idle) - len(self._busy)):
            worker, ticket = self._ground.hire()
            self._busy[ticket] = worker, None

    def _answers(self) -> list[tuple[Any, Task | None, Answer]]:
        """What has come; results before losses and errors, so that what is good is kept first."""
        found = [(*self._busy.pop(ticket), answer) for ticket, answer in self._ground.answers(list(self._busy))]
        return sorted(found, key=lambda each: (each[2].error is not None, bool(each[2].lost)))

    def _bury(self, worker: Any, task: Task | None, answer: Answer) -> None:
        """Do without a lost worker; raises `InterruptedRunError` once that makes no sense any more."""
        self._ground.dismiss(worker)
        self._fruitless += 1
        if answer.memory:
            self._count -= 1  # its memory is left to those beside it
        if self._count < 1:
            raise InterruptedRunError(
                f"no worker has enough memory; the last one was {answer.lost}. {STAYS} Take fewer --workers, a greater "
                "share of a GPU with --gpus, or nodes with more memory."
            )
        if task is not None:
            self._deaths[id(task)] += 1
        if self._deaths[id(task)] >= DEATHS or self._fruitless >= DEATHS * self._count + DEATHS:
            raise InterruptedRunError(
                f"workers die again and again over the same work; the last one: {answer.lost}. {STAYS} Look into that "
                "node's logs and memory first."
            )

    def _look(self) -> None:
        """Give up where no worker was ready for a long time."""
        now = time.monotonic()
        if self._idle or any(task is not None for _, task in self._busy.values()):
            self._since = now
        elif now - self._since > PATIENCE:
            raise InterruptedRunError(f"no worker was ready within {PATIENCE:.0f} s; {self._ground.room()}. {STAYS}")
