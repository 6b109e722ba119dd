"""Random noise: what blind luck finds, which no honest defence should need to fear."""

import torch
from torch import Tensor, nn

from rbench.attacks._ball import Ball, l2_norm
from rbench.attacks._hunt import Hunt
from rbench.rng import Draws
from rbench.types import Threat


def noise(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    draws: int = 1000,
    corners: bool = True,
) -> Tensor:
    """The point with the least margin of `draws` random points of the ball; no gradients.

    Points are uniform in the ball; with `corners` every other one is x +- eps instead, all signs at random, or for l2
    uniform on the sphere; all are cut to the box. At most `draws` forwards a sample: a sample that has fallen is left
    alone. One point a sample is held at a time, so memory does not grow with `draws`. Carlini et al., "On evaluating
    adversarial robustness" (arXiv 1902.06705), section 4.5: random search must not beat an attack by gradients.
    """
    hunt, ball = Hunt(x), Ball(x, threat)
    for draw in range(draws):
        x_adv = _extreme(ball, rng, draw) if corners and draw % 2 else ball.random(rng, draw)
        with torch.no_grad():
            hunt.see(x_adv, model(x_adv), y)
        keep = hunt.shrink(draw)
        if keep is not None:
            if not len(keep):
                break
            y, rng, ball = y[keep], rng.take(keep), ball.take(keep)
    return hunt.result()


def _extreme(ball: Ball, rng: Draws, draw: int) -> Tensor:
    """A random corner of the L-inf ball, or a uniform point of the L2 sphere, around every image, cut to the box.

    Numbered like `Ball.random`, so that no two draws share random numbers.
    """
    shape = ball.x.shape[1:]
    if ball.norm == "l2":
        direction = rng.normal(shape, draw=2 * draw, dtype=ball.x.dtype)
        return ball.project(ball.x + ball.radius * direction / l2_norm(direction))
    words = rng.words(-(-shape.numel() // 32), draw)  # one random bit a pixel
    bits = (words[:, :, None] >> torch.arange(32, device=words.device)) & 1
    signs = (2 * bits.flatten(1)[:, : shape.numel()] - 1).to(ball.x.dtype).view(ball.x.shape)
    return ball.project(ball.x + ball.radius * signs)
