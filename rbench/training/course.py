"""How far a training has come, and how its steps are added up without asking the device after each of them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rbench.training.history import Row, best_of
from rbench.training.ranks import Ranks
from rbench.training.state import Weights, read

PACE = 10  # steps between two questions to a GPU: each one makes it wait


@dataclass
class Course:
    """The finished epochs, the weights of the best of them, and how far the running epoch has come.

    `sums` are those of the running epoch: objective, distillation, hits, samples; `seconds` and `search` its times. The
    course is over early with the first epoch that is as good as `wanted`, a held-out accuracy in [0, 1].
    """

    rows: list[Row] = field(default_factory=list)
    best: Weights = field(default_factory=dict)
    begun: bool = False
    iteration: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)
    seconds: float = 0.0
    search: float = 0.0
    wanted: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether an epoch was as good as is wanted; None if nothing is."""
        if self.wanted is None:
            return None
        return any((row.clean if row.robust is None else row.robust) >= self.wanted for row in self.rows)

    def over(self, epochs: int) -> bool:
        """Whether no epoch is left, of so many in all."""
        return bool(self.reached) or self.epoch >= epochs

    @property
    def epoch(self) -> int:
        """The running epoch, counted from 0."""
        return len(self.rows)

    @property
    def means(self) -> tuple[float, float, float]:
        """Objective, distillation and accuracy over the samples of the running epoch so far."""
        loss, distilled, hits, count = self.sums
        return loss / count, distilled / count, hits / count

    def end(self, row: Row, weights: dict[str, Tensor], by: str = "robust") -> None:
        """Close the running epoch, whose weights are kept if it is the best one (see `best_of`)."""
        self.rows.append(row)
        if best_of(self.rows, by) is row:
            self.best = {key: value.detach().clone() for key, value in weights.items()}
        self.begun, self.iteration, self.sums = False, 0, [0.0] * 4
        self.seconds, self.search = 0.0, 0.0

    def state(self) -> dict[str, Any]:
        """Everything, as plain values and tensors."""
        return {**vars(self), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Course":
        """The course that a state was made of."""
        return cls(**{**state, "rows": [Row(**row) for row in state["rows"]]})


def reached(folder: Path) -> bool | None:
    """Whether the training in a folder was as good as was wanted; None if nothing was, or no training lies there.

    Raises `StoreError` if its state cannot be read.
    """
    state = read(folder / "state.pt")
    return None if state is None else Course.of(state["course"]).reached


class Diverged(Exception):  # noqa: N818 - told on with the place and the remedy
    """A loss that is not finite, at some step of the epoch."""

    def __init__(self, iteration: int, loss: float) -> None:
        super().__init__(iteration, loss)
        self.iteration, self.loss = iteration, loss


class Tally:
    """Adds up the steps of an epoch over all ranks; asks a GPU only after every `PACE` steps, a CPU after each."""

    def __init__(self, course: Course, ranks: Ranks, device: torch.device) -> None:
        self._course, self._ranks, self._device = course, ranks, device
        self._pace = PACE if device.type == "cuda" else 1
        self._pending: list[Tensor] = []

    def add(self, sums: Tensor) -> None:
        """One step more, of which [4] sums are known to the device."""
        self._pending.append(sums)

    def ask(self, *, last: bool, wanted: bool) -> tuple[int, bool]:
        """How many steps were added up now, and whether any rank wanted to stop; (0, False) between two questions.

        Raises `Diverged` for the first step whose loss is not finite.
        """
        if len(self._pending) < self._pace and not last:
            return 0, False
        asked = torch.stack([*self._pending, torch.full_like(self._pending[0], float(wanted))])
        *steps, stop = self._ranks.total(asked).tolist()
        self._pending = []
        for index, step in enumerate(steps):
            loss = (step[0] + step[1]) / step[3]
            if not math.isfinite(loss):
                raise Diverged(self._course.iteration - len(steps) + index, loss)
            self._course.sums = [old + new for old, new in zip(self._course.sums, step, strict=True)]
        return len(steps), stop[0] > 0


@contextmanager
def asked_to_stop() -> Iterator[list[bool]]:
    """Inside, SIGTERM and Ctrl-C make the list non-empty and let the running step end; a second Ctrl-C stops at once.

    SIGTERM may come twice, from a scheduler and from torchrun, and means no more then.
    """
    import signal
    import threading

    asked: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, _frame: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(True)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
