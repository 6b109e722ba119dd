"""One step of a training, and one pass of the controller over its images."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.models.masks import Subnet
from rbench.rng import Draws
from rbench.training.awp import perturbed
from rbench.training.batches import Batch, fetch, split
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import subnet_logits, subnet_loss
from rbench.training.modes import running_statistics, untracked, widened
from rbench.training.setting import Setting
from rbench.training.teachers import taught_by


class Part(NamedTuple):
    """A part of a batch as the objective shows it to the network, and its share of the whole batch."""

    views: tuple[Tensor, ...]
    y: Tensor
    share: float


def step(setting: Setting, epoch: int, iteration: int, batches: Sequence[Batch], total: int) -> Tensor:
    """One optimiser step on this rank's parts of a batch of `total` samples.

    Returns float64 [4]: the sums over this rank's samples of the objective, of the weighted loss of the subnet and of
    hits on the view that counts, and the number of samples.
    """
    setting = setting.at(epoch)
    model, recipe, ranks, enhancer = setting.model, setting.recipe, setting.ranks, setting.enhancer
    with setting.seeded("train/step", epoch, iteration), getattr(model, "paths", nullcontext)():
        parts = [_seen(setting, epoch, batch, total) for batch in batches]
        if enhancer is not None and enhancer.due(iteration):
            with setting.cast():
                enhancer.search(model, _watched(setting, parts), ranks, epoch, iteration)
        subnet = None if enhancer is None else enhancer.subnet(model, epoch, iteration)
        model.train()
        with _weights_of_the_step(setting, epoch, parts):
            sums = torch.zeros(4, dtype=torch.float64, device=setting.device)
            for part in parts:
                sums += fit(setting, part, subnet)
            ranks.gradients(model)
            if recipe.optimiser.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.optimiser.clip)
            setting.optimiser.step()
    setting.optimiser.zero_grad(set_to_none=True)
    if (memory := setting.objective.memory) is not None:
        memory.learn(ranks.total(memory.noted(setting.device)), recipe.rate(epoch) / recipe.optimiser.lr)
    ranks.together(running_statistics(model), sum(part.share for part in parts))
    return sums


def _seen(setting: Setting, epoch: int, batch: Batch, total: int) -> Part:
    """A part of a batch as the objective shows it: attacked, for instance."""
    rng = Draws(setting.seed, f"train/attack/{epoch}", batch.samples)
    with setting.cast():
        return Part(setting.objective.views(setting.model, batch, rng), batch.y, len(batch.y) / total)


def _watched(setting: Setting, parts: Sequence[Part]) -> list[tuple[Tensor, Tensor]]:
    """The images and labels of the view whose accuracy counts."""
    return [(part.views[setting.objective.watched], part.y) for part in parts]


def _weights_of_the_step(setting: Setting, epoch: int, parts: Sequence[Part]) -> AbstractContextManager[None]:
    """Weights perturbed against the full network's objective, if the recipe has [awp] and it is warm."""
    awp = setting.recipe.awp
    if awp is None or epoch < awp.warmup:
        return nullcontext()
    for part in parts:
        with untracked(setting.model, training=True):
            loss, _ = loss_of(setting, part)
        torch.autograd.backward(loss * part.share)
    setting.ranks.gradients(setting.model)
    return perturbed(setting.model, awp.gamma)


def loss_of(setting: Setting, part: Part) -> tuple[Tensor, list[Tensor]]:
    """The full network's loss on a part of a batch; and the logits [B, classes] of each view, then of each teacher.

    Logits are in no less than float32. A network that can be told which views are clean is told, and what it makes of
    their kinds itself is fitted to that by the mean cross-entropy, beside whatever the objective minimises.
    """
    objective, kinds = setting.objective, list[Tensor]()
    with setting.cast():
        if callable(informed := getattr(setting.model, "informed", None)):
            logits, kinds = informed(part.views, objective.clean)
        else:
            logits = objective.logits(setting.model, part.views)
        taught = taught_by(setting.teachers, part.views)
    logits = [widened(values) for values in (*logits, *taught)]
    loss = objective.loss(logits, part.y)
    if kinds:
        loss = loss + _type_loss([widened(values) for values in kinds], objective.clean)
    return loss, logits


def _type_loss(kinds: Sequence[Tensor], clean: Sequence[bool]) -> Tensor:
    """The cross-entropy of type logits [B, 2] of views of known kind, averaged over all images; 1 is clean."""
    known = torch.tensor(clean, device=kinds[0].device).long().repeat_interleave(len(kinds[0]))
    return F.cross_entropy(torch.cat(list(kinds)), known)


def fit(setting: Setting, part: Part, subnet: Subnet | None) -> Tensor:
    """Add the gradient of a part of a batch, weighted by its share; returns what `step` sums."""
    loss, logits = loss_of(setting, part)
    if setting.objective.memory is not None:
        setting.objective.memory.note(logits, part.share)
    distilled = distillation_of(setting, part, logits[: len(part.views)], subnet)
    torch.autograd.backward((loss + distilled) * part.share)
    hits = (logits[setting.objective.watched].argmax(1) == part.y).double().mean()
    means = torch.stack([loss.detach().double(), distilled.detach().double(), hits, torch.ones_like(hits)])
    return len(part.y) * means


def distillation_of(setting: Setting, part: Part, logits: Sequence[Tensor], subnet: Subnet | None) -> Tensor:
    """The weighted loss of a subnet on the views of a batch; 0 without subnets."""
    distilled = torch.zeros_like(logits[0][0, 0])
    ews = setting.recipe.ews
    if ews is None or subnet is None:
        return distilled
    with setting.cast():
        students = setting.objective.logits(lambda view: subnet_logits(setting.model, view, subnet), part.views)
    smoothing = setting.recipe.label_smoothing
    for share, whole, student in zip(setting.objective.shares, logits, students, strict=True):
        distilled = distilled + share * subnet_loss(ews, whole, student, part.y, smoothing)
    return distilled


def search(setting: Setting, enhancer: Enhancer, epoch: int) -> None:
    """Let the controller pass over the fixed subset as often as the recipe says.

    The network does not change meanwhile, so that its adversarial images are made once and serve every pass.
    """
    setting = setting.at(epoch)
    count = len(split(setting.searched, setting.recipe.batch))
    with setting.seeded("train/search", epoch):
        images = _searched(setting, enhancer, epoch)
        shown = list(images) if enhancer.ews.passes > 1 else images
        for turn in range(enhancer.ews.passes):
            for place, parts in enumerate(shown):
                with setting.cast():
                    enhancer.search(setting.model, parts, setting.ranks, epoch, turn * count + place)


def _searched(setting: Setting, enhancer: Enhancer, epoch: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Each batch of the fixed subset, of which the parts of this rank: clean, or the view that counts."""
    for ids in split(setting.searched, setting.recipe.batch):
        batches = [fetch(setting.data, part).to(setting.device) for part in setting.parts(ids)]
        if enhancer.ews.images == "clean":
            yield [(batch.x, batch.y) for batch in batches]
            continue
        parts = []
        for batch in batches:
            rng = Draws(setting.seed, f"ews/attack/{epoch}", batch.samples)
            with setting.cast():
                parts.append(Part(setting.objective.views(setting.model, batch, rng), batch.y, 1.0))
        yield _watched(setting, parts)
