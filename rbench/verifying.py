"""The full attack on some of the images that cheaper ones leave, until both ends of robust accuracy say enough."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from rbench.catalog import AA
from rbench.sampling import Sampler
from rbench.survey import Survey
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
    certain: IntArray,
    rest: IntArray,
    enough: Callable[[Survey], bool],
    look: int,
) -> Iterator[tuple[Survey, Outcomes]]:
    """What is known after the certain stratum, and after every `look` of the others, with the last outcomes.

    It ends as soon as `enough` is known, or all were asked.
    """
    outcomes = ask.some([full], certain)[full] if len(certain) else None
    if outcomes is not None:
        known = replace(known, certain=len(certain), certain_flips=int((~outcomes.correct).sum()))
        yield known, outcomes
    while not enough(known) and known.drawn < len(rest):
        outcomes = ask.some([full], rest[known.drawn : known.drawn + look])[full]
        known = replace(known, drawn=known.drawn + len(outcomes), flips=known.flips + int((~outcomes.correct).sum()))
        yield known, outcomes
