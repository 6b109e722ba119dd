"""What a gate knows of each of its scores after every look, and of all of them together; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbench.gates import Gate, GateScore
from rbench.gating.cases import Case, Decision, How
from rbench.gating.snapshot import Snapshot
from rbench.gating.verified import VerifiedCase
from rbench.statistics.paired import Paired
from rbench.types import FloatArray, IntArray


@dataclass(frozen=True)
class Verdict:
    """What is known of one score: an estimate of its drop, if there is one, and an interval that holds at any look.

    `by` what it was decided: one pass an image, a bet, a proof, or the full attack; "" if it is not. The outcome of
    `images` is known, and `table` counts those that only the baseline got right, and only the candidate. So many `more`
    would pass if none of them turned, None if not even all would; `least` is the smallest delta that those seen would
    pass if none had. The full attack `full`, if the score has one, was run on `asked` of the `left` images that cheaper
    ones leave.
    """

    score: GateScore
    outcome: Decision
    by: How
    drop: float | None
    interval: tuple[float, float]
    images: int
    table: Paired | None
    more: int | None
    least: float
    full: str = ""
    asked: int = 0
    left: int | None = None


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
    """What is known of all scores of a gate, and the order in which images are drawn."""

    def __init__(self, gate: Gate, cases: Sequence[Case], held: Snapshot) -> None:
        self.gate, self.cases, self.held = gate, tuple(cases), held
        # Fixed before any candidate is seen, and another one with every baseline.
        self.order = np.random.default_rng(int(held.pinned["evidence"][:16], 16)).permutation(held.samples)
        self.seen = 0

    def know(self, errors: Mapping[str, FloatArray]) -> None:
        """Take the candidate's errors [n] by the probes that were asked of all images, before any is drawn."""
        for case in self.cases:
            case.know({name: each for name, each in errors.items() if name in case.of})

    @property
    def open(self) -> tuple[Case, ...]:
        """The scores that are not decided; none once any has failed."""
        outcomes = self.outcomes()
        if "FAIL" in outcomes.values():
            return ()
        return tuple(case for case in self.cases if outcomes[case.name] == "INCONCLUSIVE")

    @property
    def probes(self) -> tuple[str, ...]:
        """The probes that the next images are asked by."""
        return tuple(dict.fromkeys(probe for case in self.open for probe in case.asks))

    def next(self, most: int) -> IntArray:
        """The next images in the order, `most` of them, that a score which is not decided still needs."""
        wanted = (
            np.logical_or.reduce([case.left for case in self.open]) if self.open else np.zeros(len(self.order), bool)
        )
        return self.order[wanted[self.order]][:most]

    def see(self, samples: IntArray, errors: Mapping[str, FloatArray], margins: Mapping[str, FloatArray]) -> None:
        """Take the candidate's errors and margins by probe, on the images that `next` gave."""
        for case in self.open:
            case.see(samples, errors, margins)
        self.seen += len(samples)

    def outcomes(self) -> dict[str, Decision]:
        """What is known of each score: FAIL by Holm's procedure over all of them, PASS by its own evidence."""
        ranked = sorted(self.cases, key=lambda case: -case.above)
        failed = []
        for place, case in enumerate(ranked):
            if case.above < (len(ranked) - place) / self.gate.alpha:
                break
            failed.append(case.name)
        passed = [case.name for case in self.cases if case.passes]
        names = [case.name for case in self.cases]
        return {name: "FAIL" if name in failed else "PASS" if name in passed else "INCONCLUSIVE" for name in names}

    def verdicts(self) -> Iterator[Verdict]:
        """What is known of each score, with its evidence."""
        outcomes = self.outcomes()
        for case in self.cases:
            full = case if isinstance(case, VerifiedCase) else None
            found = full.found if full is not None else None
            yield Verdict(
                case.score,
                outcomes[case.name],
                by=case.by if outcomes[case.name] != "INCONCLUSIVE" else "",
                drop=case.drop,
                interval=case.interval,
                images=int(case.known.sum()),
                table=case.table,
                more=case.more,
                least=case.least,
                full=full.full if full is not None else "",
                asked=found.asked if found is not None else 0,
                left=found.survivors if found is not None else None,
            )


def together(verdicts: Sequence[Verdict]) -> Decision:
    """FAIL if any score failed, PASS if all passed."""
    outcomes = {each.outcome for each in verdicts}
    return "FAIL" if "FAIL" in outcomes else "PASS" if outcomes == {"PASS"} else "INCONCLUSIVE"
