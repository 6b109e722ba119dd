"""The training loop: a card and a recipe to a checkpoint, the same bytes whether or not it was interrupted."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from rbench.errors import ModelError, StoreError
from rbench.files import write_atomically
from rbench.recipe import Recipe
from rbench.rng import Draws, seed_of, seeded
from rbench.training import state as states
from rbench.training.batches import augmented, epoch_order, fetch, split
from rbench.training.curve import draw
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import subnet_logits
from rbench.training.history import Row, TrainResult, as_csv, best_of
from rbench.training.policies import by_policy
from rbench.training.progress import Report, bar
from rbench.training.selection import measure
from rbench.training.setting import Setting, prepare
from rbench.types import IntArray, ModelCard


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
    On the CPU the weights are bit-identical however often the training was interrupted, for one number of threads,
    on which PyTorch's sums depend. Raises `StoreError` if `out` cannot be written or belongs to another training, and
    `ModelError` if the loss is no longer finite.
    """
    setting = prepare(card, recipe, recipe.seed if seed is None else seed, device)
    expected = states.manifest(card, recipe, setting.seed, setting.data.digest)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {out} ({error.strerror}); choose another folder with --out.") from error
    saved = states.load(out / "state.pt", expected, setting.device)
    rows: list[Row] = []
    weights: states.Weights = {}
    if saved is not None:
        rows = [Row(**row) for row in saved["rows"]]
        weights = saved["weights"]
        setting.model.load_state_dict(saved["model"])
        setting.optimiser.load_state_dict(saved["optimiser"])
        if setting.enhancer is not None:
            setting.enhancer.restore(saved["enhancer"])
    batches = -(-len(setting.fitted) // recipe.batch)
    with bar(card.name, recipe.epochs * batches, len(rows) * batches, enabled=progress) as report:
        for epoch in range(len(rows), recipe.epochs):
            row = one_epoch(setting, epoch, report, rows[-1] if rows else None)
            rows.append(row)
            if best_of(rows) is row:
                weights = states.copied(setting.model.state_dict())
            write_atomically(out / "metrics.csv", as_csv(rows).encode())
            states.save(
                out / "state.pt",
                {
                    "manifest": expected,
                    "rows": [asdict(row) for row in rows],
                    "weights": weights,
                    "model": setting.model.state_dict(),
                    "optimiser": setting.optimiser.state_dict(),
                    "enhancer": setting.enhancer.state() if setting.enhancer else None,
                },
            )
    best = best_of(rows)
    final = {key: value.cpu().contiguous() for key, value in weights.items()}
    write_atomically(out / "weights.safetensors", safetensors.torch.save(final))
    write_atomically(out / "metrics.csv", as_csv(rows).encode())
    write_atomically(out / "curve.png", draw(rows, best, f"{card.name}, seed {setting.seed}"))
    return TrainResult(card.name, setting.seed, out, out / "weights.safetensors", best, tuple(rows))


def one_epoch(setting: Setting, epoch: int, report: Report, previous: Row | None) -> Row:
    """Let the controller learn if it is due, fit every training image once, and measure on the held-out ones."""
    started = time.monotonic()
    lr = setting.recipe.optimiser.rate(epoch)
    for group in setting.optimiser.param_groups:
        group["lr"] = lr
    subnets = None
    if setting.enhancer is not None and setting.enhancer.due(epoch):
        subnets = search(setting, setting.enhancer, epoch)
    known = f" held-out {_percent(previous)}%" if previous else ""
    sums, seen = np.zeros(3), 0
    for iteration, ids in enumerate(split(epoch_order(setting.fitted, setting.seed, epoch), setting.recipe.batch)):
        sums += len(ids) * np.array(step(setting, epoch, iteration, ids))
        seen += len(ids)
        loss, distilled, correct = sums / seen
        extra = f"+{distilled:.2f}" if setting.enhancer else ""
        report(f"epoch {epoch} loss {loss:.2f}{extra} acc {correct:.1%}{known}")
    loss, distilled, correct = (float(value) for value in sums / seen)
    if not np.isfinite(loss + distilled):
        raise ModelError(f"the loss is not finite in epoch {epoch}; lower the learning rate ({lr:g}) of the recipe.")
    clean, robust = measure(setting)
    seconds = time.monotonic() - started
    return Row(epoch, lr, loss, distilled, correct, clean, robust, subnets, seconds)


def _percent(row: Row) -> str:
    return "/".join(f"{100 * value:.1f}" for value in (row.clean, row.robust) if value is not None)


def step(setting: Setting, epoch: int, iteration: int, ids: IntArray) -> tuple[float, float, float]:
    """One optimiser step on a batch; returns the objective, the distillation loss and the accuracy that counts."""
    model, objective, recipe, seed = setting.model, setting.objective, setting.recipe, setting.seed
    x, y, samples = fetch(setting.data, ids, setting.device)
    rng = Draws(seed, f"train/augment/{epoch}", samples)
    x = by_policy(augmented(x, recipe.augment, rng), recipe.augment, rng.named("policy"))
    # Dropout draws from the global generator; seeded anew in every step, it is the same after an interruption.
    with seeded(seed_of(seed, "train/step", epoch, iteration), setting.device):
        views = objective.views(model, x, y, Draws(seed, f"train/attack/{epoch}", samples))
        model.train()
        logits = objective.logits(model, views)
    loss = objective.loss(logits, y)
    distilled = distillation_of(setting, views, logits, epoch, iteration)
    setting.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss + distilled)
    if recipe.optimiser.clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optimiser.clip)
    setting.optimiser.step()
    correct = (logits[objective.watched].argmax(1) == y).float().mean()
    return loss.item(), distilled.item(), correct.item()


def distillation_of(
    setting: Setting, views: Sequence[Tensor], logits: Sequence[Tensor], epoch: int, iteration: int
) -> Tensor:
    """The weighted loss of a subnet on the views of a batch against the full network's logits; 0 without subnets."""
    distilled = torch.zeros_like(logits[0][0, 0])
    if setting.enhancer is None:
        return distilled
    subnet = setting.enhancer.subnet(epoch, iteration)
    students = setting.objective.logits(lambda view: subnet_logits(setting.model, view, subnet), views)
    for share, whole, student in zip(setting.objective.shares, logits, students, strict=True):
        distilled = distilled + share * setting.enhancer.loss(whole, student)
    return distilled


def search(setting: Setting, enhancer: Enhancer, epoch: int) -> float:
    """Let the controller pass over the fixed subset, on the view that counts; its subnets' mean accuracy."""
    found, iteration = [], 0
    for turn in range(enhancer.ews.passes):
        for ids in split(setting.searched, setting.recipe.batch):
            x, y, samples = fetch(setting.data, ids, setting.device)
            rng = Draws(setting.seed, f"ews/attack/{epoch}/{turn}", samples)
            view = setting.objective.views(setting.model, x, y, rng)[setting.objective.watched]
            found.append(enhancer.search(setting.model, view, y, epoch, iteration))
            iteration += 1
    return float(np.mean(found))
