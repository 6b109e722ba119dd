"""The training loop: a card and a recipe to a checkpoint, the same bytes whether or not it was interrupted."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import safetensors.torch
import torch

from rbench.errors import InterruptedRunError, ModelError, StoreError
from rbench.recipe import Recipe
from rbench.training import state as states
from rbench.training.batches import Batch, epoch_order, split
from rbench.training.course import Course, Diverged, Tally, asked_to_stop
from rbench.training.curve import draw
from rbench.training.history import Row, TrainResult, as_csv, best_of
from rbench.training.loggers import Kind, logger
from rbench.training.pipeline import Pipeline, batches
from rbench.training.progress import Report, bar
from rbench.training.ranks import joined
from rbench.training.selection import measure
from rbench.training.setting import Setting, prepare
from rbench.training.step import search, step
from rbench.types import IntArray, ModelCard


def train(
    card: ModelCard,
    recipe: Recipe,
    *,
    out: Path,
    seed: int | None = None,
    progress: bool = True,
    device: str | None = None,
    accumulate: int = 1,
    workers: int | None = None,
    log: Sequence[Kind] = (),
    tick: Callable[[int], None] = lambda _epochs: None,
) -> TrainResult:
    """Train `card`'s architecture by `recipe` in the folder `out`, going on where an earlier call with it stopped.

    Writes `weights.safetensors` (the epoch that the held-out images picked), `state.pt` (every epoch, and when it is
    asked to stop), `metrics.csv` and `curve.png`. On the CPU the weights are bit-identical however often the training
    was interrupted, for one number of threads and ranks, on which sums depend. `accumulate` splits batches that do not
    fit; `workers` processes make them (by default none on a CPU); both are free to change on the way. `log` names what
    else is told of every epoch, `tick` hears how many have ended. Under torchrun all ranks call it, and the first one
    writes. Raises `StoreError` if `out` cannot be written or belongs to another training, `ModelError` if the loss is
    no longer finite, and `InterruptedRunError` when it was asked to stop.
    """
    with joined(device) as (ranks, where), _threads(recipe.threads), ExitStack() as stack:
        chosen = recipe.seed if seed is None else seed
        setting = prepare(card, recipe, chosen, where, ranks=ranks, accumulate=accumulate)
        expected = states.manifest(card, recipe, chosen, setting.data.digest)
        course = _taken_up(setting, _made(out) / "state.pt", expected)
        done = course.epoch * setting.batches + course.iteration
        show = progress and ranks.first
        report = stack.enter_context(bar(card.name, recipe.epochs * setting.batches, done, enabled=show))
        name, kinds = f"{card.name}-seed{chosen}", log if ranks.first else ()
        tells = [stack.enter_context(logger(kind, out, name, expected)) for kind in kinds]
        feed = batches(
            Pipeline(setting.data, recipe, chosen),
            _asked(setting, course.epoch, course.iteration),
            _workers(where) if workers is None else workers,
            where,
        )
        tick(course.epoch)
        with asked_to_stop() as asked:
            for row in _epochs(setting, course, feed, report, asked, out):
                if ranks.first:
                    states.write(out / "metrics.csv", as_csv(course.rows).encode())
                    _save(setting, course, out / "state.pt", expected)
                if row is not None:
                    tick(1)
                    for tell in tells:
                        tell(row)
                if course.epoch < recipe.epochs and (row is None or ranks.any(bool(asked), where)):
                    place = f"step {course.iteration} of epoch {course.epoch}"
                    raise InterruptedRunError(f"asked to stop before {place}; its state is saved.")
        return _finished(card, course, chosen, out, write=ranks.first)


def _epochs(
    setting: Setting, course: Course, feed: Iterator[Batch], report: Report, asked: Sequence[bool], out: Path
) -> Iterator[Row | None]:
    """The epochs that are left, one by one as they end; None in the place of one that was asked to stop."""
    while course.epoch < setting.recipe.epochs:
        try:
            row = one_epoch(setting, course, feed, report, asked)
        except Diverged as error:
            raise ModelError(_divergence(error, setting.recipe, course, out)) from None
        if row is not None:
            course.end(row, setting.model.state_dict())
        yield row


def one_epoch(
    setting: Setting, course: Course, feed: Iterator[Batch], report: Report, asked: Sequence[bool]
) -> Row | None:
    """Let the controller learn if it is due, fit every training image once, and measure on the held-out ones.

    Goes on where `course` stands. Returns None if it was asked to stop before the end.
    """
    recipe, epoch, ranks = setting.recipe, course.epoch, setting.ranks
    started, spent = time.monotonic(), course.seconds
    for group in setting.optimiser.param_groups:
        group["lr"] = recipe.rate(epoch)
    if not course.begun:
        if setting.enhancer is not None and setting.enhancer.begin(epoch):
            course.subnets = search(setting, setting.enhancer, epoch)
            course.search = time.monotonic() - started
        course.begun = True
    known = f" held-out {_percent(course.rows[-1])}%" if course.rows else ""
    order = split(epoch_order(setting.fitted, setting.seed, epoch), recipe.batch)
    tally = Tally(course, ranks, setting.device)
    for iteration in range(course.iteration, len(order)):
        ids = order[iteration]
        own = [next(feed) for _ in setting.parts(ids)]
        tally.add(step(setting, epoch, iteration, own, len(ids)))
        course.iteration = iteration + 1
        added, stop = tally.ask(last=course.iteration == len(order), wanted=bool(asked))
        course.seconds = spent + time.monotonic() - started
        if added:
            loss, distilled, correct = course.means
            extra = f"+{distilled:.2f}" if setting.enhancer else ""
            report(added, f"epoch {epoch} loss {loss:.2f}{extra} acc {correct:.1%}{known}")
        if stop and course.iteration < len(order):
            return None
    clean, robust = measure(setting)
    seconds = spent + time.monotonic() - started
    parts = ranks.world * setting.accumulate
    return Row(epoch, recipe.rate(epoch), *course.means, clean, robust, course.subnets, seconds, course.search, parts)


def _percent(row: Row) -> str:
    return "/".join(f"{100 * value:.1f}" for value in (row.clean, row.robust) if value is not None)


def _asked(setting: Setting, epoch: int, iteration: int) -> Iterator[tuple[int, IntArray]]:
    """The samples of every part of a batch that this rank will need, in order."""
    for at in range(epoch, setting.recipe.epochs):
        order = split(epoch_order(setting.fitted, setting.seed, at), setting.recipe.batch)
        for ids in order[iteration if at == epoch else 0 :]:
            yield from ((at, part) for part in setting.parts(ids))


def _taken_up(setting: Setting, path: Path, expected: dict[str, str]) -> Course:
    """Where an earlier call stopped, with the setting as it was then; a new course if there was none."""
    saved = setting.ranks.told(lambda: states.load(path, expected), setting.device)
    if saved is None:
        return Course()
    setting.model.load_state_dict(saved["model"])
    setting.optimiser.load_state_dict(saved["optimiser"])
    if setting.enhancer is not None:
        setting.enhancer.restore(saved["enhancer"])
    return Course.of(saved["course"])


def _save(setting: Setting, course: Course, path: Path, expected: dict[str, str]) -> None:
    """Everything that a later call needs to go on."""
    states.save(
        path,
        {
            "manifest": expected,
            "course": course.state(),
            "model": setting.model.state_dict(),
            "optimiser": setting.optimiser.state_dict(),
            "enhancer": setting.enhancer.state() if setting.enhancer else None,
        },
    )


def _finished(card: ModelCard, course: Course, seed: int, out: Path, *, write: bool) -> TrainResult:
    """The result, with its files."""
    best = best_of(course.rows)
    if write:
        weights = {key: value.cpu().contiguous() for key, value in course.best.items()}
        states.write(out / "weights.safetensors", safetensors.torch.save(weights))
        states.write(out / "metrics.csv", as_csv(course.rows).encode())
        states.write(out / "curve.png", draw(course.rows, best, f"{card.name}, seed {seed}"))
    return TrainResult(card.name, seed, out, out / "weights.safetensors", best, tuple(course.rows))


def _made(out: Path) -> Path:
    """The folder, which exists from now on."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {out} ({error.strerror}); choose another folder with --out.") from error
    return out


def _divergence(error: Diverged, recipe: Recipe, course: Course, out: Path) -> str:
    """Where the loss was lost, what is left and what to do, as a sentence."""
    state = out / "state.pt"
    left = f"the last good state is {state}" if state.is_file() else "no state was saved before"
    return (
        f"the loss is {error.loss} at step {error.iteration} of epoch {course.epoch} (learning rate "
        f"{recipe.rate(course.epoch):g}); {left}. Lower optimiser.lr of recipe {recipe.name!r}, or clip its gradients."
    )


def _workers(device: torch.device) -> int:
    """How many processes make batches by default: a GPU should not wait for them."""
    return min(8, max(1, (os.cpu_count() or 1) - 1)) if device.type == "cuda" else 0


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads on the CPU; as many as before if None."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
