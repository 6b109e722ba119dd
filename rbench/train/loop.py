"""The training loop: a card and a recipe to a checkpoint, the same bytes whether or not it was interrupted."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from rbench.attacks.pgd import pgd
from rbench.catalog import bind
from rbench.errors import ModelError, StoreError
from rbench.rng import Draws
from rbench.train import state as states
from rbench.train.batches import augmented, epoch_order, fetch, split, stratified
from rbench.train.curve import draw
from rbench.train.ews.search import Enhancer
from rbench.train.files import write_atomically
from rbench.train.history import Row, TrainResult, as_csv, better
from rbench.train.modes import untracked
from rbench.train.objectives import Objective
from rbench.train.progress import Report, bar
from rbench.types import Dataset, IntArray, ModelCard, Recipe


@dataclass(frozen=True)
class Setting:
    """Everything that one training works with; `model`, `optimiser` and `enhancer` change as it goes."""

    recipe: Recipe
    seed: int
    data: Dataset
    fitted: IntArray
    held_out: IntArray
    searched: IntArray
    device: torch.device
    model: nn.Module
    optimiser: torch.optim.Optimizer
    objective: Objective
    enhancer: Enhancer | None


def train(
    card: ModelCard,
    recipe: Recipe,
    *,
    out: Path,
    seed: int | None = None,
    progress: bool = True,
    device: str | None = None,
) -> TrainResult:
    """Train `card`'s architecture by `recipe` in the folder `out`, going on where an earlier call with it stopped.

    Writes `weights.safetensors` (the epoch that the held-out images picked), `state.pt`, `metrics.csv` and `curve.png`.
    On the CPU the weights are bit-identical however often the training was interrupted. Raises `StoreError` if `out`
    cannot be written or belongs to another training, and `ModelError` if the loss is no longer finite.
    """
    setting = prepare(card, recipe, recipe.seed if seed is None else seed, device)
    expected = states.manifest(card, recipe, setting.seed, setting.data.digest)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {out} ({error.strerror}); choose another folder with --out.") from error
    saved = states.load(out / "state.pt", expected, setting.device)
    rows: list[Row] = []
    best: Row | None = None
    weights: states.Weights = {}
    if saved is not None:
        rows = [Row(**row) for row in saved["rows"]]
        best, weights = rows[saved["best"]], saved["weights"]
        setting.model.load_state_dict(saved["model"])
        setting.optimiser.load_state_dict(saved["optimiser"])
        if setting.enhancer is not None:
            setting.enhancer.restore(saved["enhancer"])
    batches = -(-len(setting.fitted) // recipe.batch)
    with bar(card.name, recipe.epochs * batches, len(rows) * batches, enabled=progress) as report:
        for epoch in range(len(rows), recipe.epochs):
            row = one_epoch(setting, epoch, report, rows[-1] if rows else None)
            rows.append(row)
            if better(row, best):
                best, weights = row, states.copied(setting.model.state_dict())
            write_atomically(out / "metrics.csv", as_csv(rows).encode())
            states.save(
                out / "state.pt",
                {
                    "manifest": expected,
                    "rows": [asdict(row) for row in rows],
                    "best": best.epoch if best else 0,
                    "weights": weights,
                    "model": setting.model.state_dict(),
                    "optimiser": setting.optimiser.state_dict(),
                    "enhancer": setting.enhancer.state() if setting.enhancer else None,
                },
            )
    if best is None:
        raise AssertionError("a recipe has at least one epoch")
    final = {key: value.cpu().contiguous() for key, value in weights.items()}
    write_atomically(out / "weights.safetensors", safetensors.torch.save(final))
    write_atomically(out / "metrics.csv", as_csv(rows).encode())
    write_atomically(out / "curve.png", draw(rows, best, f"{card.name}, seed {setting.seed}"))
    return TrainResult(card.name, setting.seed, out, out / "weights.safetensors", best, tuple(rows))


def prepare(card: ModelCard, recipe: Recipe, seed: int, device: str | None = None) -> Setting:
    """Resolve everything that card and recipe name, with the weights of a fresh network drawn from `seed`."""
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    objective = bind(recipe.objective, given=["recipe"])(recipe=recipe)
    build = bind(card.arch)
    data: Dataset = bind(recipe.data, given=["split"])(split="train")
    held_out, fitted = stratified(data.labels, np.arange(len(data.labels)), recipe.holdout, "train/holdout")
    with torch.random.fork_rng(devices=[]):  # the one use of the global generator
        torch.manual_seed(seed)
        model: nn.Module = build().to(where)
    chosen = recipe.optimiser
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=chosen.lr,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
        nesterov=chosen.nesterov,
    )
    enhancer, searched = None, fitted[:0]
    if recipe.ews is not None:
        enhancer = Enhancer(model, recipe.ews, seed)
        count = max(1, round(recipe.ews.subset * len(fitted)))
        searched = fitted if count == len(fitted) else stratified(data.labels, fitted, count, "train/searched")[0]
    return Setting(recipe, seed, data, fitted, held_out, searched, where, model, optimiser, objective, enhancer)


def one_epoch(setting: Setting, epoch: int, report: Report, previous: Row | None) -> Row:
    """Let the controller learn if it is due, fit every training image once, and measure on the held-out ones."""
    started = time.monotonic()
    lr = setting.recipe.optimiser.rate(epoch)
    for group in setting.optimiser.param_groups:
        group["lr"] = lr
    subnets = None
    if setting.enhancer is not None and setting.enhancer.due(epoch):
        subnets = search(setting, setting.enhancer, epoch)
    known = f" held-out {previous.clean:.1%}{_robust(previous)}" if previous else ""
    sums, seen = np.zeros(3), 0
    for iteration, ids in enumerate(split(epoch_order(setting.fitted, setting.seed, epoch), setting.recipe.batch)):
        sums += len(ids) * np.array(step(setting, epoch, iteration, ids))
        seen += len(ids)
        loss, distilled, correct = sums / seen
        extra = f" + {distilled:.3f}" if setting.enhancer else ""
        report(f"epoch {epoch}: loss {loss:.3f}{extra}, accuracy {correct:.1%}{known}")
    loss, distilled, correct = (float(value) for value in sums / seen)
    if not np.isfinite(loss + distilled):
        raise ModelError(f"the loss is not finite in epoch {epoch}; lower the learning rate ({lr:g}) of the recipe.")
    clean, robust = measure(setting)
    seconds = time.monotonic() - started
    return Row(epoch, lr, loss, distilled, correct, clean, robust, subnets, seconds)


def _robust(row: Row) -> str:
    return "" if row.robust is None else f" / {row.robust:.1%}"


def step(setting: Setting, epoch: int, iteration: int, ids: IntArray) -> tuple[float, float, float]:
    """One optimiser step on a batch; returns the objective, the distillation loss and the accuracy on the last view."""
    model, objective, enhancer, seed = setting.model, setting.objective, setting.enhancer, setting.seed
    x, y, samples = fetch(setting.data, ids, setting.device)
    x = augmented(x, setting.recipe.augment, Draws(seed, f"train/augment/{epoch}", samples))
    views = objective.views(model, x, y, Draws(seed, f"train/attack/{epoch}", samples))
    model.train()
    logits = [model(view) for view in views]
    loss = objective.loss(logits, y)
    distilled = torch.zeros_like(loss)
    if enhancer is not None:
        subnet = enhancer.subnet(epoch, iteration)
        for share, view, whole in zip(objective.shares, views, logits, strict=True):
            distilled = distilled + share * enhancer.loss(model, view, whole, subnet)
    setting.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss + distilled)
    setting.optimiser.step()
    correct = (logits[-1].argmax(1) == y).float().mean()
    return loss.item(), distilled.item(), correct.item()


def search(setting: Setting, enhancer: Enhancer, epoch: int) -> float:
    """Let the controller pass over the fixed subset, attacked through the full network; its subnets' mean accuracy."""
    found, iteration = [], 0
    for turn in range(enhancer.ews.passes):
        for ids in split(setting.searched, setting.recipe.batch):
            x, y, samples = fetch(setting.data, ids, setting.device)
            rng = Draws(setting.seed, f"ews/attack/{epoch}/{turn}", samples)
            (*_, view) = setting.objective.views(setting.model, x, y, rng)
            found.append(enhancer.search(setting.model, view, y, epoch, iteration))
            iteration += 1
    return float(np.mean(found))


def measure(setting: Setting) -> tuple[float, float | None]:
    """Clean and, if the recipe names a threat, robust accuracy on the held-out images, in evaluation mode.

    The attack starts from the same points in every epoch and for every seed, so that epochs differ by the network only.
    """
    chosen = setting.recipe.selection
    clean = robust = 0
    with untracked(setting.model, training=False):
        for ids in split(setting.held_out, setting.recipe.batch):
            x, y, samples = fetch(setting.data, ids, setting.device)
            clean += _correct(setting.model, x, y)
            if chosen.threat is not None:
                rng = Draws(0, "train/selection", samples)
                x = pgd(setting.model, x, y, chosen.threat, rng=rng, steps=chosen.steps, rel_step=chosen.rel_step)
                robust += _correct(setting.model, x, y)
    total = len(setting.held_out)
    return clean / total, None if chosen.threat is None else robust / total


@torch.no_grad()
def _correct(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> int:
    return int((model(x).argmax(1) == y).sum())
