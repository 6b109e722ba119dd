"""Suites that ask for a diagnosis get the probes that it is made of; pure.

They are jobs like all others and never scores. On the samples that they ask, about 3% of AutoAttack's passes on 500.
"""

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction

from rbench.doubt.flags import BLIND, PREFIX
from rbench.errors import UsageError, unknown
from rbench.types import Call, Probe, Suite, Threat

GRADIENT, SEARCH = 100, 50  # samples asked by PGD, and by the dearer attacks without gradients
QUERIES, DRAWS = 1000, 500  # of those, a sample
WIDE = "1000"  # longer than the diagonal of any image: no bound at all


def diagnosed(suite: Suite) -> Suite:
    """A suite with its diagnostic probes added, if it asks for them; raises `UsageError` if it uses one of their names.

    Those that compare runs of PGD start at the image itself, so that they differ in nothing else. Random models get
    none of these, since two runs on them differ by chance.
    """
    if any(probe.name.startswith(PREFIX) for probe in suite.probes):
        raise UsageError(f"suite {suite.name!r}: names of probes that begin with {PREFIX!r} belong to diagnostics.")
    if not suite.diagnose or suite.draws > 1:
        return suite
    return replace(suite, probes=(*suite.probes, *_pgd_probes(suite.rules), *_search_probes()))


def needed(suite: Suite, scores: Collection[str]) -> frozenset[str]:
    """The names of the probes that some scores of a suite need; all of them, if no score is named.

    An attack brings the clean images and the diagnosis along, lest its numbers lose their doubt. Raises `UsageError`
    for a score that the suite has not.
    """
    known = {score.name: score for score in suite.scores}
    for name in scores:
        if name not in known:
            raise unknown("score", name, known, f"suite {suite.name!r}")
    if not scores:
        return frozenset(probe.name for probe in suite.probes)
    own = {probe for name in scores for probe in known[name].of}
    attacks = any(probe.attack is not None and probe.name in own for probe in suite.probes)
    return frozenset(p.name for p in suite.probes if p.name in own or (attacks and _doubts(p)))


def _doubts(probe: Probe) -> bool:
    """Whether findings on the attacks of a suite rest on a probe: the clean images, and the diagnosis."""
    return probe.name.startswith(PREFIX) or (probe.attack is None and probe.data is None)


def _pgd_probes(threat: Threat) -> tuple[Probe, ...]:
    return (
        _pgd("margin"),
        _pgd("ce", loss="ce"),
        _pgd("double", steps=40),
        _pgd("restarts", restarts=5, start=True),
        _pgd("half-step", rel_step="1/8"),
        _pgd("twice-step", rel_step="1/2"),
        _pgd("half-eps", eps=_scaled(threat, Fraction(1, 2))),
        _pgd("twice-eps", eps=_scaled(threat, Fraction(2))),
        _pgd("unbounded", eps="1" if threat.norm == "linf" else WIDE),
    )


def _search_probes() -> tuple[Probe, ...]:
    calls = {"square": Call(BLIND[0], {"queries": QUERIES}), "noise": Call(BLIND[1], {"draws": DRAWS})}
    return tuple(Probe(PREFIX + name, call, block=SEARCH, limit=SEARCH) for name, call in calls.items())


def _pgd(name: str, eps: str | None = None, **changes: str | int | bool) -> Probe:
    args = {"steps": 20, "loss": "margin", "start": False, **changes}
    return Probe(PREFIX + name, Call("rbench.attacks.pgd:pgd", args), limit=GRADIENT, eps=eps)


def _scaled(threat: Threat, factor: Fraction) -> str:
    """A multiple of eps as exact text, for L-inf no more than 1, the range of a pixel."""
    eps = Fraction(threat.eps.strip()) * factor
    return str(min(eps, Fraction(1)) if threat.norm == "linf" else eps)
