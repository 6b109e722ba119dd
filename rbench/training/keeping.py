"""What a training leaves on the disk, and tells elsewhere, as it goes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import safetensors.torch

from rbench.errors import StoreError
from rbench.training import state as states
from rbench.training.course import Course
from rbench.training.curve import draw
from rbench.training.history import Row, TrainResult, as_csv, best_of
from rbench.training.loggers import Kind, Logger, logger
from rbench.training.setting import Setting
from rbench.types import ModelCard


def opened(stack: ExitStack, kinds: Sequence[Kind], out: Path, name: str, settings: dict[str, str]) -> Iterator[Logger]:
    """What else is told of every epoch, until the stack is closed."""
    for kind in kinds:
        yield stack.enter_context(logger(kind, out, name, settings))


def keep(
    setting: Setting, course: Course, row: Row | None, tells: Sequence[Logger], out: Path, expected: dict[str, str]
) -> None:
    """Write and tell how far the training has come: everything that a later call needs to go on."""
    states.write(out / "metrics.csv", as_csv(course.rows).encode())
    states.save(
        out / "state.pt",
        {
            "manifest": expected,
            "course": course.state(),
            "model": setting.model.state_dict(),
            "optimiser": setting.optimiser.state_dict(),
            "enhancer": setting.enhancer.state() if setting.enhancer else None,
            "memory": setting.objective.memory.state() if setting.objective.memory else None,
        },
    )
    if row is not None:
        for tell in tells:
            tell(row)


def keep_epoch(setting: Setting, course: Course, out: Path) -> None:
    """Write the weights as they are after so many epochs; `epochs/0.safetensors` has those that it starts from."""
    weights = {key: value.cpu().contiguous() for key, value in setting.model.state_dict().items()}
    folder = made(out / "epochs")
    states.write(folder / f"{course.epoch}.safetensors", safetensors.torch.save(weights))


def finish(card: ModelCard, course: Course, seed: int, out: Path, by: str = "robust") -> TrainResult:
    """The result, with its files; `by` says what makes an epoch the best."""
    best = best_of(course.rows, by)
    weights = {key: value.cpu().contiguous() for key, value in course.best.items()}
    states.write(out / "weights.safetensors", safetensors.torch.save(weights))
    states.write(out / "metrics.csv", as_csv(course.rows).encode())
    states.write(out / "curve.png", draw(course.rows, best, f"{card.name}, seed {seed}"))
    rows = tuple(course.rows)
    return TrainResult(card.name, seed, out, out / "weights.safetensors", best, rows, reached=course.reached)


def made(out: Path) -> Path:
    """The folder, which exists from now on."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {out} ({error.strerror}); choose another folder with --out.") from error
    return out
