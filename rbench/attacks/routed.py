"""Attacks on networks whose weights follow from a router: crafted on other routes, tried on the full model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rbench.attacks._ball import margin
from rbench.attacks._chase import Chase, cosine
from rbench.attacks._hooks import hook
from rbench.rng import Draws
from rbench.types import Threat

CLEAN = 1  # the column of `type_logits` that means a clean image


def routed(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    variant: Literal["V0", "V1", "V2", "V3", "V4", "V5", "V8", "V10"] = "V10",
    steps: int = 100,
    betas: tuple[float, ...] = (0.1, -0.1, 1.0, -1.0, 10.0, -10.0),
    shares: tuple[float, ...] = (0.25, 0.5, 0.75),
    points: int = 8,
    stop: bool = True,
) -> Tensor:
    """Ascend -(z_y - max_{k != y} z_k) by `steps` steps, cosine from eps to 0, with the router as `variant` has it.

    V0: the full gradient, through the router. V1: the code held fixed at that of the clean image. V2: at that of V0's
    end. V3: the full gradient plus beta times how clean the route looks, for each of `betas`: the log-probability that
    `type_logits` gives to clean or, without that hook, -mean((route(x') - route(x))^2). V4: codes held fixed at these
    `shares` of the way from V1's to V2's. V5: the mean of the logits under the codes of `points` random points of the
    ball, which smooths a hard router. V8: each of the model's `branches` forced on. V10: V1, V0 from its end, V2, V0
    from its end.

    Every iterate is tried on the full model, and that with the least margin there is returned; a phase of s steps costs
    at most 2s + 1 forwards and s backwards a sample, V0 half the forwards, V5 `points` times as many and more. Other
    variants need no code of their own: V6, transfer from static siblings, is any attack of a probe with `surrogates`;
    V7, expectation over transformation, is `pgd` with `eot`; V9 is `square`. Raises `UsageError` without the hooks
    `route` and, for V8, `branches`. The variants are ours, after Tramer et al., "On adaptive attacks to adversarial
    example defenses", NeurIPS 2020, and Croce et al., "Evaluating the adversarial robustness of adaptive test-time
    defenses", ICML 2022.
    """
    route = hook(model, "route", "routed")
    freeze = getattr(model, "freeze_route", route)
    with torch.no_grad():
        clean = freeze(x)
    chase = Chase(model, x, y, threat, rng, stop)
    game = _Game(model, route, freeze, x, y, clean, chase, cosine(threat.radius, steps), betas, shares, points, rng)
    PLANS[variant](game)
    return chase.result()


routed.needs = ("route", "forward")  # type: ignore[attr-defined]  # read by the engine, before anything is run


@dataclass(frozen=True)
class _Game:
    """What the variants share."""

    model: nn.Module
    route: Callable[[Tensor], Tensor]
    freeze: Callable[[Tensor], Tensor]
    x: Tensor
    y: Tensor
    clean: Tensor
    chase: Chase
    lengths: list[float]
    betas: tuple[float, ...]
    shares: tuple[float, ...]
    points: int
    rng: Draws

    def full(self, start: Tensor | None = None) -> Tensor:
        """Ascend on the full model."""

        def objective(x_adv: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.model(x_adv)
            return -margin(logits, self.y[rows]), logits

        return self.chase.run(objective, self.lengths, start)

    def frozen(self, *codes: Tensor) -> Tensor:
        """Ascend under a fixed code, or on the mean logits under several."""

        def objective(x_adv: Tensor, rows: Tensor) -> tuple[Tensor, None]:
            logits = torch.stack([self.model(x_adv, code=code[rows]) for code in codes]).mean(0)
            return -margin(logits, self.y[rows]), None

        return self.chase.run(objective, self.lengths)

    def disguised(self, beta: float) -> Tensor:
        """Ascend on the full model while the route is to look clean, or the less so for a negative beta."""

        def objective(x_adv: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.model(x_adv)
            return -margin(logits, self.y[rows]) + beta * self._cleanness(x_adv, rows), logits

        return self.chase.run(objective, self.lengths)

    def _cleanness(self, x_adv: Tensor, rows: Tensor) -> Tensor:
        if callable(getattr(self.model, "type_logits", None)):
            return hook(self.model, "type_logits", "routed")(x_adv).log_softmax(1)[:, CLEAN]
        return -(self.route(x_adv) - self.clean[rows]).square().flatten(1).mean(1)

    @torch.no_grad()
    def code(self, x_adv: Tensor) -> Tensor:
        """The codes of images, to be held fixed."""
        return self.freeze(x_adv)


def _v2(game: _Game) -> None:
    game.frozen(game.code(game.full()))


def _v3(game: _Game) -> None:
    for beta in game.betas:
        game.disguised(beta)


def _v4(game: _Game) -> None:
    adversarial = game.code(game.full())
    for share in game.shares:
        game.frozen(torch.lerp(game.clean, adversarial, share))


def _v5(game: _Game) -> None:
    draws = game.rng.named("points")
    game.frozen(*(game.code(game.chase.ball.random(draws, point)) for point in range(game.points)))


def _v8(game: _Game) -> None:
    with torch.no_grad():
        codes = tuple(hook(game.model, "branches", "routed in variant V8")(game.x))
    for code in codes:
        game.frozen(code)


def _v10(game: _Game) -> None:
    ends = game.full(game.frozen(game.clean))
    game.full(game.frozen(game.code(ends)))


PLANS: Mapping[str, Callable[[_Game], object]] = {
    "V0": _Game.full,
    "V1": lambda game: game.frozen(game.clean),
    "V2": _v2,
    "V3": _v3,
    "V4": _v4,
    "V5": _v5,
    "V8": _v8,
    "V10": _v10,
}
