"""The training loop: a card and a recipe to a checkpoint, the same bytes whether or not it was interrupted."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch

from rbench.catalog import Catalog
from rbench.errors import InterruptedRunError, ModelError, UsageError
from rbench.recipe import Recipe
from rbench.training import state as states
from rbench.training.batches import Batch, epoch_order, split
from rbench.training.course import Course, Diverged, Tally, asked_to_stop
from rbench.training.goal import goal_of, wanted
from rbench.training.history import Row, TrainResult
from rbench.training.keeping import finish, keep, keep_epoch, made, opened
from rbench.training.loggers import Kind, Logger
from rbench.training.pipeline import Pipeline, batches
from rbench.training.progress import Report, bar
from rbench.training.ranks import joined
from rbench.training.selection import measure
from rbench.training.setting import Setting, prepare
from rbench.training.start import Origin, digests, found_for
from rbench.training.step import search, step
from rbench.tuning import clock_of
from rbench.types import IntArray, ModelCard


def train(
    card: ModelCard,
    recipe: Recipe,
    *,
    out: Path,
    seed: int | None = None,
    start: Sequence[Origin] = (),
    progress: bool = True,
    device: str | None = None,
    accumulate: int = 1,
    workers: int | None = None,
    track: Sequence[Kind] = (),
    tick: Callable[[int], None] = lambda _epochs: None,
    catalog: Catalog | None = None,
    keep_epochs: bool = False,
) -> TrainResult:
    """Train `card`'s architecture by `recipe` in the folder `out`, going on where an earlier call with it stopped.

    Where the recipe says so it starts from the weights of `start`, of which `rbench.training.start` tells. Writes
    `weights.safetensors` (the epoch that the held-out images picked), `state.pt` (every epoch, and when it is
    asked to stop), `metrics.csv` and `curve.png`. On the CPU the weights are bit-identical however often the training
    was interrupted, for one number of threads and ranks, on which sums depend. `accumulate` splits batches that do not
    fit; `workers` processes make them (by default none on a CPU); both are free to change on the way. `track` names
    what else is told of every epoch, `tick` hears how many have ended. Teachers, and the model that may end it early,
    are models of `catalog`. `keep_epochs` also writes the weights after each epoch to `epochs/1.safetensors` and so on,
    and moves no other byte. Under torchrun all ranks call it, and the first one writes. Raises `StoreError` if `out`
    cannot be written or belongs to another training, `ModelError` if the loss is no longer finite, and
    `InterruptedRunError` when it was asked to stop.
    """
    with joined(device) as (ranks, where), threads(recipe.threads), ExitStack() as stack:
        chosen = recipe.seed if seed is None else seed
        found, goal = found_for(recipe, start), goal_of(card, recipe, catalog)
        setting = prepare(card, recipe, chosen, where, ranks=ranks, accumulate=accumulate, start=found, catalog=catalog)
        until = {} if goal is None else {goal.model: goal.digest}
        expected = states.manifest(card, recipe, chosen, setting.data.digest, setting.taught_by, digests(start), until)
        course = _taken_up(setting, made(out) / "state.pt", expected)
        if goal is not None and course.wanted is None:
            course.wanted = wanted(setting, goal)
        note = partial(keep_epoch, setting, course, out)
        if keep_epochs and not course.begun:
            ranks.told(note, where)
        done = course.epoch * setting.batches + course.iteration
        show = progress and ranks.first
        report = stack.enter_context(bar(card.name, recipe.epochs * setting.batches, done, enabled=show))
        tells: list[Logger] = []
        ranks.told(lambda: tells.extend(opened(stack, track, out, f"{card.name}-seed{chosen}", expected)), where)
        feed = batches(
            Pipeline(setting.data, recipe, chosen),
            _asked(setting, course.epoch, course.iteration),
            workers_of(recipe, where, workers),
            where,
        )
        tick(course.epoch)
        with asked_to_stop() as asked:
            for row in _epochs(setting, course, feed, report, asked, out):
                if keep_epochs and row is not None:
                    ranks.told(note, where)
                ranks.told(partial(keep, setting, course, row, tells, out, expected), where)
                tick(int(row is not None))
                stop = ranks.any(bool(asked), where)
                if row is None or (stop and not course.over(recipe.epochs)):
                    place = f"after {course.iteration} steps of epoch {course.epoch}"
                    raise InterruptedRunError(f"asked to stop {place}; its state is saved.")
        tick(recipe.epochs - course.epoch)  # those that are not needed any more
        return ranks.told(partial(finish, card, course, chosen, out, recipe.selection.by), where)


def _epochs(
    setting: Setting, course: Course, feed: Iterator[Batch], report: Report, asked: Sequence[bool], out: Path
) -> Iterator[Row | None]:
    """The epochs that are left, one by one as they end; None in the place of one that was asked to stop."""
    while not course.over(setting.recipe.epochs):
        try:
            row = one_epoch(setting, course, feed, report, asked)
        except Diverged as error:
            raise ModelError(_divergence(error, setting.recipe, course, out)) from None
        if row is not None:
            course.end(row, setting.model.state_dict(), setting.recipe.selection.by)
        yield row


def one_epoch(
    setting: Setting, course: Course, feed: Iterator[Batch], report: Report, asked: Sequence[bool]
) -> Row | None:
    """Let the controller learn if it is due, fit every training image once, and measure on the held-out ones.

    Goes on where `course` stands. Returns None if it was asked to stop before the end.
    """
    recipe, epoch, ranks = setting.recipe, course.epoch, setting.ranks
    clock = clock_of(setting.device)
    started, spent = clock(), course.seconds
    for group in setting.optimiser.param_groups:
        group["lr"] = recipe.rate(epoch) * group.get("share", 1.0)  # older states have none
    if not course.begun:
        if setting.enhancer is not None and setting.enhancer.begin(epoch):
            search(setting, setting.enhancer, epoch)
            course.search = clock() - started
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
        course.seconds = spent + clock() - started
        if added:
            loss, distilled, correct = course.means
            extra = f"+{distilled:.2f}" if setting.enhancer else ""
            report(added, f"epoch {epoch} loss {loss:.2f}{extra} acc {correct:.1%}{known}")
        if stop:
            return None
    if not all(bool(torch.isfinite(parameter).all()) for parameter in setting.model.parameters()):
        raise Diverged(len(order) - 1, math.nan)  # in the very last step: its loss was finite, its weights are not
    clean, robust = measure(setting)
    seconds = spent + clock() - started
    subnets = None if setting.enhancer is None else setting.enhancer.accuracy
    parts = ranks.world * setting.accumulate
    return Row(epoch, recipe.rate(epoch), *course.means, clean, robust, subnets, seconds, course.search, parts)


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
    if setting.objective.memory is not None:
        setting.objective.memory.restore(saved["memory"])
    return Course.of(saved["course"])


def _divergence(error: Diverged, recipe: Recipe, course: Course, out: Path) -> str:
    """Where the loss was lost, what is left and what to do, as a sentence."""
    state = out / "state.pt"
    left = f"the last good state is {state}" if state.is_file() else "no state was saved before"
    return (
        f"the loss is {error.loss} at step {error.iteration} of epoch {course.epoch} (learning rate "
        f"{recipe.rate(course.epoch):g}); {left}. Lower optimiser.lr of recipe {recipe.name!r} or clip its gradients, "
        f"and train in another folder (--out)."
    )


def workers_of(recipe: Recipe, device: torch.device, asked: int | None) -> int:
    """How many processes make batches, unless `asked` says it: none for a CPU, some for a GPU that should not wait.

    They cannot load data whose code lies in a file of its own. Raises `UsageError` if they are asked for then.
    """
    in_file = recipe.data.use.rpartition(":")[0].endswith(".py")
    if asked and in_file:
        raise UsageError(f"{recipe.data.use} is no module that worker processes can import; leave out --workers.")
    if asked is not None or in_file or device.type != "cuda":
        return asked or 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads on the CPU; as many as before if None."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
