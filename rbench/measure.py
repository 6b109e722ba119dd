"""What is measured of a model at single images, for the findings on its gradients and its loss: no attack, no score."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, l2_norm, margin
from rbench.attacks._losses import ascend, negative_margin
from rbench.bench import Source, load_images, set_up
from rbench.progress import Progress
from rbench.rng import Draws
from rbench.tuning import DEFAULT_BATCH
from rbench.types import Threat

IMAGES = 64  # looked at, at most
STARTS = 3  # random points around each image at which the gradient may vanish
DIRECTIONS = 8  # random ones, besides the gradient's own
NEIGHBOURS = 10  # points at which the loss may jump
STEPS, TAIL, FALL = 40, 10, 0.05  # an attack is incomplete if the last steps bring more than this share of its fall
STREAM = "measure"

Model = Callable[[Tensor], Tensor]


def look(source: Source, threat: Threat, n: int, seed: int, progress: Progress) -> dict[str, float]:
    """What is measured on at most `IMAGES` of the first n samples, spread over them; see `measure`."""
    bench = set_up(source, (), n, DEFAULT_BATCH, progress.tick)
    samples = np.arange(0, n, -(-n // IMAGES))
    progress.begin("measure", 0, len(samples))
    x, y = load_images(bench.dataset, samples, bench.device)
    values = measure(bench.model, bench.twin, x, y, threat, Draws(seed, STREAM, torch.from_numpy(samples).to(x.device)))
    bench.own.check(STREAM)
    bench.twin.take()  # raises an error for logits that were not finite
    progress.advance(len(samples))
    return values


def measure(model: nn.Module, twin: Model, x: Tensor, y: Tensor, threat: Threat, rng: Draws) -> dict[str, float]:
    """Counts of samples, medians and means by name, of images x [B, C, H, W] in [0, 1] that the model gets right.

    `twin` is what attacks see; `rng` gives every sample its own random numbers. Empty if the model gets no image right.
    """
    with torch.no_grad():
        right = (margin(model(x), y) > 0).nonzero()[:, 0]
    if not len(right):
        return {}
    x, y, rng = x[right], y[right], rng.take(right)
    ball = Ball(x, threat)
    least, ends = _descent(twin, x, y, ball)
    neighbour = _within(x, threat, 4).random(rng, STARTS)
    grads = [_gradient(twin, point, y) for point in (x, *(ball.random(rng, draw) for draw in range(STARTS)))]
    return {
        "samples": float(len(x)),
        "twin_flips": _flips(model, twin, torch.cat([x, neighbour, ends])),
        "zero_gradients": float(torch.stack([_is_zero(grad) for grad in grads]).any(0).sum()),
        "bad_gradients": float(torch.stack([~torch.isfinite(grad.flatten(1)).all(1) for grad in grads]).any(0).sum()),
        "cosine": _cosine(grads[0], _gradient(twin, neighbour, y)),
        **({} if hasattr(model, "bpda") else _differences(model, grads[0], x, y, rng)),  # a stand-in should differ
        "unexplained": _unexplained(twin, grads[0], x, y, threat, rng),
        **_falling(least),
    }


def _gradient(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of max_{k != y} z_k - z_y, which no saturation of a softmax touches."""
    return ascend(model, x, negative_margin, y)[2]


def _within(x: Tensor, threat: Threat, parts: int) -> Ball:
    """The balls of a fraction of eps."""
    return Ball(x, replace(threat, eps=str(Fraction(threat.eps.strip()) / parts)))


def _is_zero(grad: Tensor) -> Tensor:
    return (grad == 0).flatten(1).all(1)


@torch.no_grad()
def _flips(model: nn.Module, twin: Model, x: Tensor) -> float:
    """Images whose class the twin sees differently."""
    return float(sum((model(part).argmax(1) != twin(part).argmax(1)).sum() for part in x.split(IMAGES)))


def _cosine(a: Tensor, b: Tensor) -> float:
    """The median cosine; gradients that vanish count as orthogonal."""
    return float(torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1).nan_to_num().median())


def _differences(model: nn.Module, grad: Tensor, x: Tensor, y: Tensor, rng: Draws) -> dict[str, float]:
    """How far directional derivatives lie from central differences: the median relative error, and signs that disagree.

    In float64 where the model can be copied and follows; else in float32 with steps that its rounding allows.
    """
    exact = _in_double(model, x[:1])
    function, dtype, steps = (exact, torch.float64, (1e-3, 1e-4)) if exact else (model, x.dtype, (3e-2, 1e-2))
    point = x.to(dtype)
    errors, signs = [], []
    for direction in _directions(grad.to(dtype), rng):
        slope = (grad.to(dtype) * direction).flatten(1).sum(1)
        found = torch.stack([_central(function, point, y, direction, h) for h in steps])
        scale = torch.maximum(found.abs(), slope.abs())
        error = (found - slope).abs() / scale.clamp_min(torch.finfo(dtype).tiny)
        best = error.argmin(0, keepdim=True)  # a kink within the longer step is no flaw
        errors.append(error.gather(0, best)[0].nan_to_num(nan=1.0))
        signs.append(found.gather(0, best)[0].sign() != slope.sign())
    return {"fd_error": float(torch.cat(errors).median()), "fd_signs": float(torch.cat(signs).double().mean())}


def _directions(grad: Tensor, rng: Draws) -> Iterator[Tensor]:
    """The gradient's direction, then random ones, all of Euclidean norm 1."""
    yield grad / l2_norm(grad).clamp_min(torch.finfo(grad.dtype).tiny)
    for draw in range(DIRECTIONS):
        direction = rng.named("direction").normal(grad.shape[1:], draw=draw, dtype=grad.dtype)
        yield direction / l2_norm(direction)


@torch.no_grad()
def _central(model: Model, x: Tensor, y: Tensor, direction: Tensor, h: float) -> Tensor:
    ahead, behind = (negative_margin(model(x + step * direction), y) for step in (h, -h))
    return (ahead - behind) / (2 * h)


@torch.no_grad()
def _in_double(model: nn.Module, x: Tensor) -> nn.Module | None:
    """A copy of a model in float64, or None if it cannot be copied or computes in another precision all the same."""
    try:
        double = copy.deepcopy(model).double()
        return double if double(x.double()).dtype == torch.float64 else None
    except Exception:  # noqa: BLE001 - foreign modules fail in their own ways; then float32 must do
        return None


@torch.no_grad()
def _unexplained(twin: Model, grad: Tensor, x: Tensor, y: Tensor, threat: Threat, rng: Draws) -> float:
    """Sum |m(x + u) - m(x) - grad m(x) u| / sum |m(x + u) - m(x)| over random points u of the ball of eps/8.

    It goes to 0 with the length of u wherever m is smooth, and to 1 where m moves by jumps.
    """
    ball, here = _within(x, threat, 8), margin(twin(x), y)
    changes, rests = [], []
    for draw in range(NEIGHBOURS):
        point = ball.random(rng.named("near"), draw)
        changes.append(margin(twin(point), y) - here)
        rests.append(changes[-1] + (grad * (point - x)).flatten(1).sum(1))  # grad is that of -m
    return float((torch.stack(rests).abs().sum() / torch.stack(changes).abs().sum()).nan_to_num(nan=0.0, posinf=0.0))


def _descent(twin: Model, x: Tensor, y: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
    """The least margins so far of PGD on the margin, [steps + 1, B], and its last iterates; steps of eps/4 from x."""
    x_adv, trace = x, []
    for _ in range(STEPS):
        logits, _, grad = ascend(twin, x_adv, negative_margin, y)
        trace.append(margin(logits, y))
        x_adv = ball.step(x_adv, grad, ball.radius / 4)
    with torch.no_grad():
        trace.append(margin(twin(x_adv), y))
    return torch.stack(trace).cummin(0).values, x_adv


def _falling(least: Tensor) -> dict[str, float]:
    """Of the samples that PGD did not fool, those whose margin was still on its way down."""
    standing = least[-1] > 0
    fall, tail = least[0] - least[-1], least[-1 - TAIL] - least[-1]
    return {"unfooled": float(standing.sum()), "falling": float((standing & (tail > FALL * fall)).sum())}
