"""A worst case cheaper than AutoAttack's: short and diverse climbs, or random search where gradients are masked."""

import torch
from torch import Tensor, nn

from rbench.attacks import _squares as squares
from rbench.attacks._ball import margin
from rbench.attacks._climb import Climb, Pursuit, lead, run, scaled_cross_entropy
from rbench.attacks._hunt import Hunt
from rbench.attacks._losses import cross_entropy, negative_margin
from rbench.attacks.square import CHUNK, WORDS
from rbench.rng import Draws
from rbench.types import Threat

WIDE, NARROW = 0.1, 0.002  # shares of the image that squares cover at the first and at the last query
TRIAL = 100  # queries that tell whether gradients are masked
MASKED = 0.01  # of the clean margin: after five climbs 100 queries gain nothing on honest networks, 0.1 on kWTA

FIRST = (Climb(scaled_cross_entropy, "image"), *[Climb(negative_margin, "random")] * 4)  # what falls easily
THEN = (
    *(Climb(lead, "random", rank=rank) for rank in range(3)),
    *[Climb(negative_margin, "random")] * 4,
    *[Climb(negative_margin, "best", first=2), Climb(cross_entropy, "best", first=2)] * 4,
)


def cascade(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 25,
    queries: int = 900,
    stop: bool = True,
) -> Tensor:
    """Climb, try 100 random squares, then search on by `queries` squares where these paid, else climb 15 times more.

    A climb: x_{t+1} = project(x_t + step_t g), g = sign(grad) or grad / ||grad||, step_t from eps or 2 eps to 0 by a
    cosine in `steps` steps; all but the first begin with two steps of length eps up a random weighting of the logits.
    Targets are the likeliest classes at the best point so far. Gradients are masked for a sample if squares lower the
    margin, where climbs have ended, by more than 1% of that of the image. A sample leaves as soon as it falls, unless
    `stop` is false. At most 1,202 forwards and backwards a sample, 1,275 where masked. The parts are known: output
    diversity (Tashiro et al., NeurIPS 2020), margins (Carlini and Wagner, IEEE S&P 2017), cosine steps and restarts
    (A3; Liu et al., CVPR 2022), squares (Andriushchenko et al., ECCV 2020).
    """
    with torch.no_grad():
        logits = model(x)
    classes = logits.shape[1]
    pursuit = Pursuit(model, x, y, threat, rng, Hunt(x, stop))
    for turn, climb in enumerate(FIRST):
        run(pursuit, climb, f"first {turn}", steps, classes)
    gain = _search(pursuit, "trial", TRIAL)
    masked = gain > MASKED * margin(logits, y)[pursuit.hunt.rows]
    x_adv, best = pursuit.hunt.result(), pursuit.hunt.best
    for blind, chosen in ((True, masked), (False, ~masked)):
        rows = pursuit.hunt.rows[chosen]
        if not len(rows):
            continue
        part = Pursuit(model, x[rows], y[rows], threat, rng.take(rows), Hunt(x[rows], stop))
        with torch.no_grad():
            part.hunt.see(best[chosen], model(best[chosen]), part.y)
        if blind:
            _search(part, "search", queries)
        else:
            for turn, climb in enumerate(THEN):
                run(part, climb, f"then {turn}", steps, classes)
        x_adv[rows] = part.hunt.result()
    return x_adv


@torch.no_grad()
def _search(pursuit: Pursuit, name: str, queries: int) -> Tensor:
    """Random squares, ever smaller, on the best points; by how much they lowered each margin."""
    model, hunt = pursuit.model, pursuit.hunt
    if not len(hunt):
        return hunt.rows.to(pursuit.x.dtype)
    ball, y, rng = pursuit.standing(name)
    propose = squares.propose_linf if ball.norm == "linf" else squares.propose_l2
    before = least = hunt.see(hunt.best, model(hunt.best), y)
    for query in range(queries):
        if query % CHUNK == 0:
            words = rng.words(CHUNK * WORDS, query // CHUNK).view(len(y), CHUNK, WORDS)
        proposal = propose(ball, hunt.best, WIDE * (NARROW / WIDE) ** (query / queries), words[:, query % CHUNK])
        least = least.minimum(hunt.see(proposal, model(proposal), y))
        keep = hunt.shrink(query)
        if keep is not None:
            before, least = before[keep], least[keep]
            y, rng, words, ball = y[keep], rng.take(keep), words[keep], ball.take(keep)
            if not len(keep):
                break
    keep = hunt.shrink()
    if keep is not None:
        before, least = before[keep], least[keep]
    return before - least
