"""Which samples a gallery shows: decided by outcomes and indices alone, before any image is seen."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rbench.doubt.flags import PREFIX
from rbench.store import Run
from rbench.types import IntArray, Outcomes, Probe, Suite


@dataclass(frozen=True)
class Choice:
    """The samples of one probe to show, and how many of those that the model gets `right` it turned `wrong`.

    A sample goes with its severity where the probe is a corruption, else with 0.
    """

    probe: Probe
    right: int
    wrong: int
    shown: tuple[tuple[int, int], ...]

    @property
    def corruption(self) -> bool:
        """Whether the probe is a corruption; an attack otherwise."""
        return self.probe.attack is None


def choices(suite: Suite, run: Run, count: int) -> list[Choice]:
    """What a run has to show: `count` samples of each attack that fool the model, and one of each corruption.

    Diagnostic attacks and sequences are left out, and corruptions of a run that was not asked for clean images.
    """
    clean = next((run.outcomes(p.name) for p in suite.probes if p.attack is None and p.data is None), None)
    found = []
    for probe in suite.probes:
        attack = probe.attack is not None and not probe.name.startswith(PREFIX)
        if not attack and (not corrupts(probe) or clean is None):
            continue
        outcomes = run.outcomes(probe.name)
        if outcomes is not None:
            found.append(_fooled(probe, outcomes, count) if attack else _broken(probe, outcomes, clean))
    return found


def corrupts(probe: Probe) -> bool:
    """Whether a probe asks for the samples under a corruption."""
    return probe.data is not None and "corruption" in probe.data.args


def ordered(samples: Iterable[int]) -> list[int]:
    """Samples by the sha256 of their index as text: one order for all models and probes, which no class is first in."""
    return sorted(map(int, samples), key=lambda sample: hashlib.sha256(str(sample).encode()).digest())


def _fooled(probe: Probe, outcomes: Outcomes, count: int) -> Choice:
    """The first samples that an attack fools, and the first that withstands it.

    An image that the model gets wrong by itself is not attacked: its distance is 0.
    """
    fooled = outcomes.sample[~outcomes.correct & (outcomes.distance > 0)]
    withstood = outcomes.sample[outcomes.correct]
    shown = [*ordered(fooled)[:count], *ordered(withstood)[:1]]
    return Choice(probe, len(fooled) + len(withstood), len(fooled), tuple((sample, 0) for sample in shown))


def _broken(probe: Probe, outcomes: Outcomes, clean: Outcomes | None) -> Choice:
    """The first sample that is right when clean and wrong under a corruption, at the least severity that suffices."""
    known = clean.sample[clean.correct] if clean is not None else np.zeros(0, dtype=np.int64)
    asked = np.isin(outcomes.sample, known)
    broken = asked & ~outcomes.correct
    first = ordered(np.unique(outcomes.sample[broken]))[:1]
    shown = tuple((sample, _least(outcomes.group[broken & (outcomes.sample == sample)])) for sample in first)
    return Choice(probe, _distinct(outcomes.sample[asked]), _distinct(outcomes.sample[broken]), shown)


def _least(groups: IntArray) -> int:
    return int(groups.min())


def _distinct(samples: IntArray) -> int:
    return len(np.unique(samples))
