"""The full attack on some of the images that cheaper ones leave, until both ends of robust accuracy say enough."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from rbench.catalog import AA
from rbench.sampling import Sampler
from rbench.statistics.survey import Survey
from rbench.types import IntArray, Outcomes, ScoreSpec, Suite


def full_of(suite: Suite, score: ScoreSpec) -> str | None:
    """The name of AutoAttack's probe in a worst case over it and cheaper ones; None for other scores."""
    full = {probe.name for probe in suite.probes if probe.attack is not None and probe.attack.use == AA.use}
    parts = full & set(score.of)
    apart = score.use == "rbench.metrics:worst_case" and len(parts) == 1 and len(score.of) > 1
    return parts.pop() if apart else None


def verified(
    ask: Sampler,
    full: str,
    known: Survey,
    strata: tuple[IntArray, IntArray],
    enough: Callable[[Survey], bool],
    look: int,
    budget: int | None = None,
) -> Iterator[tuple[Survey, Outcomes]]:
    """What is known after the certain stratum, and after every `look` of the others, with the last outcomes.

    It ends as soon as `enough` is known, all of both `strata` were asked, or `budget` of them.
    """
    certain, rest = strata
    most = len(certain) + len(rest) if budget is None else budget
    if len(certain := certain[:most]):
        outcomes = ask.some([full], certain)[full]
        known = replace(known, certain=len(certain), certain_flips=int((~outcomes.correct).sum()))
        yield known, outcomes
    while not enough(known) and (size := min(look, most - known.asked, len(rest) - known.drawn)) > 0:
        outcomes = ask.some([full], rest[known.drawn : known.drawn + size])[full]
        known = replace(known, drawn=known.drawn + size, flips=known.flips + int((~outcomes.correct).sum()))
        yield known, outcomes
