"""Bets on the scores of a gate: what is known of each after every look, and of all of them together; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rbench import snapshot
from rbench.betting import Bet, bounds, draws_needed
from rbench.gates import Gate, GateScore
from rbench.paired import Paired
from rbench.pairing import PAIRED
from rbench.snapshot import Snapshot
from rbench.types import FloatArray, IntArray, ScoreSpec

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Verdict:
    """What is known of one score: its drop over the images seen, and an interval that holds at whatever look.

    `table` counts the images that only the baseline got right, and only the candidate. `needed` images would pass if no
    image turned; `least` is the smallest delta that the images seen would pass if none of them had turned.
    """

    score: GateScore
    outcome: Decision
    drop: float
    interval: tuple[float, float]
    images: int
    table: Paired | None
    needed: int
    least: float


@dataclass(frozen=True)
class Gated:
    """The outcome of a gate with its evidence: `images` of `items` were attacked, in `passes` through the model.

    `undecided` says what INCONCLUSIVE means on this branch; `reason` why there is no verdict, if there is none.
    """

    gate: Gate
    outcome: Decision
    verdicts: tuple[Verdict, ...]
    images: int
    items: int
    passes: int
    model: str
    branch: str
    undecided: str
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def warns(self) -> bool:
        """Whether it is undecided where the policy says to warn; what went wrong is never only warned of."""
        return self.outcome == "INCONCLUSIVE" and self.undecided == "warn" and not self.reason

    @property
    def exit_code(self) -> int:
        """0 for PASS or a warning, 1 for FAIL, 2 for INCONCLUSIVE."""
        if self.outcome == "INCONCLUSIVE":
            return 0 if self.warns else 2
        return int(self.outcome == "FAIL")


class Judge:
    """The bets on all scores of a gate, and the order in which images are drawn."""

    def __init__(self, gate: Gate, scores: dict[str, ScoreSpec], held: Snapshot) -> None:
        self.gate, self.scores, self.held = gate, scores, held
        self.bets = {each.name: Bet(held.samples, each.delta) for each in gate.scores}
        self.drops: dict[str, list[float]] = {each.name: [] for each in gate.scores}
        # Fixed before any candidate is seen, and another one with every baseline.
        self.order = np.random.default_rng(int(held.pinned["evidence"][:16], 16)).permutation(held.samples)
        self.seen = 0

    @property
    def probes(self) -> tuple[str, ...]:
        """The probes that scores which are not decided need; none once any has failed."""
        outcomes = self.outcomes()
        open_ = [name for name in outcomes if outcomes[name] == "INCONCLUSIVE" and "FAIL" not in outcomes.values()]
        return tuple(dict.fromkeys(probe for name in open_ for probe in self.scores[name].of))

    def see(self, samples: IntArray, errors: dict[str, FloatArray]) -> None:
        """Bet on the next images, in their order; `errors` are the candidate's, by probe."""
        outcomes = self.outcomes()
        for name, spec in self.scores.items():
            if outcomes[name] == "INCONCLUSIVE":
                how = PAIRED[spec.use]
                now = snapshot.errors_of([errors[probe] for probe in spec.of], how)
                before = snapshot.errors_of([self.held.errors[probe][samples] for probe in spec.of], how)
                self.bets[name].see(now - before)
                self.drops[name] += (now - before).tolist()
        self.seen += len(samples)

    def outcomes(self) -> dict[str, Decision]:
        """What is known of each score: FAIL by Holm's procedure over all of them, PASS by its own evidence."""
        order = sorted(self.bets, key=lambda name: -self.bets[name].above)
        failed = []
        for place, name in enumerate(order):
            if self.bets[name].above < (len(order) - place) / self.gate.alpha:
                break
            failed.append(name)
        passed = [name for name, bet in self.bets.items() if bet.below >= 1 / self.gate.alpha]
        return {n: "FAIL" if n in failed else "PASS" if n in passed else "INCONCLUSIVE" for n in self.bets}

    def verdicts(self) -> Iterator[Verdict]:
        """What is known of each score, with its evidence."""
        outcomes = self.outcomes()
        for each in self.gate.scores:
            drops = np.array(self.drops[each.name])
            whole = bool(np.isin(drops, (-1, 0, 1)).all()) and len(drops) > 0
            table = Paired(int((drops > 0).sum()), int((drops < 0).sum()), len(drops)) if whole else None
            yield Verdict(
                each,
                outcomes[each.name],
                float(drops.mean()) if len(drops) else 0.0,
                bounds(drops, self.held.samples, 2 * self.gate.alpha),  # each end at the level of a verdict
                len(drops),
                table,
                draws_needed(self.held.samples, each.delta, self.gate.alpha),
                bounds(np.zeros(len(drops)), self.held.samples, 2 * self.gate.alpha)[1],
            )


def together(verdicts: Sequence[Verdict]) -> Decision:
    """FAIL if any score failed, PASS if all passed."""
    outcomes = {each.outcome for each in verdicts}
    return "FAIL" if "FAIL" in outcomes else "PASS" if outcomes == {"PASS"} else "INCONCLUSIVE"
