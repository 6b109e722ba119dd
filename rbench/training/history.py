"""What is known of every epoch of a training, and which epoch is the best. Neither needs torch."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One epoch, counted from 0: mean losses in nats, accuracies in [0, 1]; `robust` and `subnets` only where measured.

    `train` is the accuracy on the training images as the network saw them (augmented, attacked); `clean` and `robust`
    are those on the held-out images, `subnets` that of the subnets from which the controller learnt. `search` are the
    seconds that it took to learn, part of all `seconds`: of a CPU by one thread those in which it computed, else those
    that passed. A batch was split into `parts` (by ranks and accumulation),
    each normalised by itself.
    """

    epoch: int
    lr: float
    loss: float
    distillation: float
    train: float
    clean: float
    robust: float | None
    subnets: float | None
    seconds: float
    search: float = 0.0
    parts: int = 1


@dataclass(frozen=True)
class TrainResult:
    """A finished training: its weights and other files, and the row of the epoch that was picked.

    `reached` says whether it ended because it was as good as the model that `selection.until` names; None if none is.
    """

    name: str
    seed: int
    folder: Path
    weights: Path
    best: Row
    rows: tuple[Row, ...]
    published: Path | None = None
    reached: bool | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that the training left behind."""
        written = [self.folder / name for name in ("weights.safetensors", "state.pt", "metrics.csv", "curve.png")]
        return tuple(written if self.published is None else [*written, self.published])

    @property
    def summary(self) -> dict[str, Any]:
        """What one wants to know of it, as plain values; `metrics.csv` in the folder has every epoch."""
        best = {key: value for key, value in asdict(self.best).items() if key in ("epoch", "clean", "robust")}
        place = {"folder": str(self.folder), "weights": str(self.weights)}
        published = str(self.published) if self.published is not None else None
        end = {} if self.reached is None else {"epochs": len(self.rows), "reached": self.reached}
        return {"model": self.name, "seed": self.seed, "best": best, **end, **place, "published": published}

    def __str__(self) -> str:
        """The same as a sentence."""
        robust = "" if self.best.robust is None else f", {100 * self.best.robust:.1f}% attacked"
        held_out = f"{100 * self.best.clean:.1f}% of held-out images{robust}"
        return f"{self.name}, seed {self.seed}: epoch {self.best.epoch}, {held_out}; {self.published or self.weights}"


def best_of(rows: Sequence[Row], by: str = "robust") -> Row:
    """The epoch of the highest robust, then of the highest clean held-out accuracy; of equal ones the earliest.

    `by = "w-robust"`: first of the highest mean of both, then of the highest robust accuracy.
    """
    return max(rows, key=_w_robust if by == "w-robust" else _robust)  # of equal ones, max takes the first


def _robust(row: Row) -> tuple[float, float]:
    return (0.0 if row.robust is None else row.robust, row.clean)


def _w_robust(row: Row) -> tuple[float, float]:
    robust, clean = _robust(row)
    return ((clean + robust) / 2, robust)


def as_csv(rows: Sequence[Row]) -> str:
    """A line an epoch; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _short(value) for key, value in asdict(row).items()})
    return text.getvalue()


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
