"""Blocks of samples in another form, corrupted or as sequences, to outcomes."""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from rbench.bench import Bench, as_floats
from rbench.datasets import View
from rbench.errors import UsageError
from rbench.referee import logits_of, margin_of, opinion
from rbench.rng import seed_of
from rbench.types import IntArray, Job, Outcomes

TOP = 5  # classes of the largest logits that sequences keep: what the top-5 distance is made of


def view_block(bench: Bench, job: Job, block: range) -> Outcomes:
    """The outcomes of a block of samples in all groups and frames of their view; a row an image."""
    view = bench.view(job.probe)
    samples = np.array(block)
    parts = [_group(bench, view, job, samples, group) for group in view.groups]
    sample, group, frame = (
        np.array(column, dtype=np.int64)
        for column in zip(*((s, g, f) for g, s, f in product(view.groups, block, range(view.frames))), strict=True)
    )
    n = len(sample)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Outcomes(
        sample=sample,
        group=group,
        frame=frame,
        label=bench.dataset.labels[sample],
        distance=np.zeros(n),
        forwards=np.zeros(n, dtype=np.int64),  # of an attack, as in all evidence
        backwards=np.zeros(n, dtype=np.int64),
        **columns,
    )


def _group(bench: Bench, view: View, job: Job, samples: IntArray, group: int) -> dict[str, np.ndarray]:
    """The columns that the model decides, for samples x frames of one group."""
    pixels = view.images(samples, group)
    name = f"{bench.dataset.name!r} as seen by probe {job.probe.name!r}"
    images = pixels.reshape(-1, *pixels.shape[2:])
    y = torch.from_numpy(bench.dataset.labels[samples]).repeat_interleave(view.frames).to(bench.device)
    parts = torch.arange(len(images)).split(bench.batch)
    batches = ((as_floats(images[part.numpy()], name, bench.device), y[part.to(y.device)]) for part in parts)
    if job.draws > 1:
        if view.frames > 1:
            raise UsageError(f"probe {job.probe.name!r} has sequences, which a suite with draws cannot rank.")
        seeds = [seed_of(job.seed, job.probe.name, "judge", int(samples[0]), draw) for draw in range(job.draws)]
        pred, margin = zip(
            *(opinion(bench.model, x, label, bench.dataset.classes, seeds) for x, label in batches), strict=True
        )
        return _columns(torch.cat(pred), torch.cat(margin))
    logits = torch.cat([logits_of(bench.model, x, bench.dataset.classes) for x, _ in batches])
    bench.tick(len(logits))
    columns = _columns(logits.argmax(1), margin_of(logits, y))
    return columns if view.frames == 1 else {**columns, **_rankings(logits, view)}


def _columns(pred: Tensor, margin: Tensor) -> dict[str, np.ndarray]:
    return {"pred": pred.cpu().numpy(), "margin": margin.double().cpu().numpy()}


def _rankings(logits: Tensor, view: View) -> dict[str, np.ndarray]:
    """What is kept of the rankings of all classes by logits [n * frames, K]; equal logits rank by class."""
    order = logits.sort(dim=1, descending=True, stable=True).indices
    rank = order.argsort(1).view(-1, view.frames, logits.shape[1])
    order = order.view_as(rank)
    before = torch.zeros_like(order) + order[:, :1] if view.against == "first" else order.roll(1, dims=1)
    zipf = zipf_distance(before, rank)
    zipf[:, 0] = 0
    return {"top": order[:, :, :TOP].flatten(0, 1).cpu().numpy(), "zipf": zipf.flatten().cpu().numpy()}


def zipf_distance(before: Tensor, rank: Tensor) -> Tensor:
    """sum_i w_i |w_i - w_sigma(i)| with w_i = 1/i, float64 [...]; sigma(i) is the rank now of the class once i-th.

    `before` [..., K] lists the classes from first to last, `rank` [..., K] gives each class its place, counted from 0.
    Hendrycks and Dietterich, ICLR 2019, section 5.2 and its code, mode "zipf".
    """
    weights = 1 / torch.arange(1, before.shape[-1] + 1, dtype=torch.float64, device=before.device)
    return (weights * (weights - weights[rank.gather(-1, before)]).abs()).sum(-1)
