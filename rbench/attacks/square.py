"""The Square attack: random search with square-shaped changes, no gradients."""

import torch
from torch import Tensor, nn

from rbench.attacks import _squares as squares
from rbench.attacks._ball import Ball
from rbench.attacks._hunt import Hunt
from rbench.rng import Draws
from rbench.types import Threat

CHUNK = 100  # queries whose random words are drawn together
WORDS = 8  # random words a query


def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    queries: int = 5000,
    restarts: int = 1,
    p: float = 0.8,
) -> Tensor:
    """Propose random squares of shrinking size and keep what lowers the margin; the model is only asked for logits.

    Squares cover the share `p` of the image at first, then p/2, p/4, ... after 10, 50, 200, 500, 1000, 2000, 4000, 6000
    and 8000 queries, however many are asked for (the schedule within AutoAttack). Unlike the authors' code every sample
    has squares of its own, so that nothing depends on who shares a batch, and squares reach the last row and column.
    At most queries + 1 forwards a sample and restart, no backwards. Andriushchenko, Croce, Flammarion and Hein, "Square
    attack: a query-efficient black-box adversarial attack via random search", ECCV 2020.
    """
    x_adv, rows = x.clone(), torch.arange(len(x), device=x.device)
    with torch.no_grad():
        for restart in range(restarts):
            stream = rng.named(f"restart {restart}") if restart else rng
            hunt = _search(model, Ball(x[rows], threat), y[rows], stream.take(rows), queries, p)
            x_adv[rows] = hunt.result()
            rows = rows[hunt.rows]
            if not len(rows):
                break
    return x_adv


def _search(model: nn.Module, ball: Ball, y: Tensor, rng: Draws, queries: int, p: float) -> Hunt:
    """One run of random search; the hunt's best points, those of the least margin, are where it stands."""
    hunt, linf = Hunt(ball.x), ball.norm == "linf"
    start, propose = (squares.stripes, squares.propose_linf) if linf else (squares.tiles, squares.propose_l2)
    first = start(ball, rng)
    hunt.see(first, model(first), y)
    for query in range(queries):
        if query % CHUNK == 0:
            words = rng.words(CHUNK * WORDS, 1 + query // CHUNK).view(len(y), CHUNK, WORDS)
        keep = hunt.shrink(query)
        if keep is not None:
            y, rng, words, ball = y[keep], rng.take(keep), words[keep], ball.take(keep)
            if not len(keep):
                return hunt
        proposal = propose(ball, hunt.best, share(p, query), words[:, query % CHUNK])
        hunt.see(proposal, model(proposal), y)
    hunt.shrink()
    return hunt


def share(p: float, query: int) -> float:
    """The share of the image that squares cover at a query."""
    return p / 2 ** sum(query > end for end in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
