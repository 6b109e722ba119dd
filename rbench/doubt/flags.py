"""Outcomes and measurements to findings: signs that an evaluation cannot be trusted; pure functions of the evidence.

What each sign means, its thresholds and their sources are in `codes`. Probes may hold different samples (the diagnostic
ones ask a subset), so that they are compared by the samples that both of them hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from rbench.doubt.codes import CODES
from rbench.types import Finding, Outcomes, Probe, Reported, Score, Suite

SATURATED_MARGIN = 17.0  # beyond it softmax rounds to one-hot in float32 and the gradient of CE vanishes
PREFIX = "diag-"  # of the probes that only findings are made of
NATIVE = "rbench.attacks."
FGSM = "rbench.attacks.fgsm:fgsm"
ITERATIVE = ("rbench.attacks.pgd:pgd", "rbench.attacks.apgd:apgd", "rbench.attacks.mifgsm:mifgsm")
BLIND = ("rbench.attacks.square:square", "rbench.attacks.noise:noise")  # attacks that ask for logits only
MIXED = ("rbench.attacks.autoattack:autoattack", "rbench.attacks.cascade:cascade")  # ensembles of both kinds
EFFORT = {"steps", "restarts", "targets"}
UNIT = "diag-margin"  # PGD-20 on the margin: what its variants are compared with


@dataclass(frozen=True)
class Evidence:
    """The outcomes of the complete probes of a suite, as sets of samples."""

    suite: Suite
    outcomes: Mapping[str, Outcomes]

    @cached_property
    def clean(self) -> Outcomes | None:
        """The outcomes of the probe without an attack, if there is one."""
        plain = (p.name for p in self.suite.probes if p.attack is None and p.data is None)
        return next((self.outcomes[name] for name in plain if name in self), None)

    def __contains__(self, probe: str) -> bool:
        return probe in self.outcomes

    def asked(self, probe: str) -> set[int]:
        """The samples that a probe holds."""
        return set(self.outcomes[probe].sample.tolist())

    def fooled(self, *probes: str) -> set[int]:
        """The samples that any of some probes got wrong."""
        found = (self.outcomes[name] for name in probes if name in self)
        return set().union(*(outcomes.sample[~outcomes.correct].tolist() for outcomes in found))

    def only(self, probe: str, others: Iterable[str]) -> tuple[int, int]:
        """How many samples one probe fools and none of the others does, and how many both sides were asked."""
        others = [name for name in others if name in self]
        both = self.asked(probe) & set().union(*map(self.asked, others))
        return len(both & self.fooled(probe) - self.fooled(*others)), len(both)

    def own(self) -> list[str]:
        """The complete probes of the suite itself that attack within its eps, from weak to strong."""
        return [p.name for p in self.suite.probes if p.name in self and self._is_own(p)]

    def _is_own(self, probe: Probe) -> bool:
        return probe.attack is not None and probe.eps is None and not probe.name.startswith(PREFIX)

    def gradient(self) -> list[str]:
        """The probes that ascend the gradient of the model itself within the suite's eps."""
        return [p.name for p in self.suite.probes if p.name in self and self._is_gradient(p)]

    def _is_gradient(self, probe: Probe) -> bool:
        foreign = probe.attack is None or probe.attack.use in (*BLIND, *MIXED) or probe.surrogates
        return not foreign and probe.eps is None

    def survivors(self) -> int:
        """How many samples no attack of the suite fools."""
        own = self.own()
        return len(set.intersection(*map(self.asked, own)) - self.fooled(*own)) if own else 0


def of_probe(suite: Suite, probe: str, outcomes: Mapping[str, Outcomes]) -> tuple[Finding, ...]:
    """The findings on one attacked probe of a suite, given the outcomes of all probes that are complete."""
    evidence = Evidence(suite, outcomes)
    if probe not in evidence.own():
        return ()
    found = _weaker_wins(evidence, probe)
    if evidence.clean is not None:
        found += _silence(evidence, probe)
    return found


def of_run(
    suite: Suite, outcomes: Mapping[str, Outcomes], measured: Mapping[str, float] | None = None
) -> tuple[Finding, ...]:
    """The findings that concern all attacks of a suite: the model's own flaws and what diagnostic probes found."""
    evidence = Evidence(suite, outcomes)
    return (
        *_saturation(evidence),
        *_measured(measured or {}),
        *_more_effort(evidence),
        *_more_room(evidence),
        *_strangers(evidence),
        *_loss_gap(evidence),
    )


def of_claim(clean: Score, claim: Reported | None) -> tuple[Finding, ...]:
    """Whether the clean accuracy is the one that the model's card reports, in percent, as far as n samples can tell."""
    if claim is None or clean.interval[0] <= claim.value / 100 <= clean.interval[1]:
        return ()
    value = f"{100 * clean.value:.1f}%"
    message = f"the clean accuracy is {value}, and {claim.value:g}% is reported ({claim.source})."
    return CODES["RB139"].find(abs(clean.value - claim.value / 100), message)


def _weaker_wins(evidence: Evidence, name: str) -> tuple[Finding, ...]:
    """A weaker attack (earlier in the suite) that fools samples which this one does not."""
    probes = {probe.name: probe for probe in evidence.suite.probes}
    order = evidence.own()
    found: tuple[Finding, ...] = ()
    for weaker in (probes[other] for other in order[: order.index(name)]):
        if _outranks(probes[name], weaker):
            count, n = evidence.only(weaker.name, [name])
            code = "RB124" if weaker.attack is not None and weaker.attack.use == FGSM else "RB141"
            found += CODES[code].share(count, n, f"are fooled by {weaker.name} and not by {name}, the stronger attack.")
    return found


def _outranks(probe: Probe, other: Probe) -> bool:
    """Whether an attack should by rights fool all that another one, earlier in the suite, fools.

    Attacks that differ in more than effort, such as two losses or two surrogates, are only compared to an ensemble.
    """
    strong, weak = probe.attack, other.attack
    if strong is None or weak is None or probe.surrogates != other.surrogates:
        return False
    if strong.use in MIXED or not (strong.use.startswith(NATIVE) and weak.use.startswith(NATIVE)):
        return True
    if weak.use == FGSM:
        return strong.use in ITERATIVE
    changed = {key for key in {*strong.args, *weak.args} if strong.args.get(key) != weak.args.get(key)}
    return strong.use == weak.use and changed <= EFFORT


def _silence(evidence: Evidence, probe: str) -> tuple[Finding, ...]:
    """An attack that moves nothing, or moves and fools nothing."""
    outcomes, clean = evidence.outcomes[probe], evidence.clean
    assert clean is not None  # noqa: S101 - asked before
    right = set(clean.sample[clean.correct].tolist())
    tried = np.isin(outcomes.sample, list(right))
    if not tried.any():
        return ()
    if not outcomes.distance[tried].any():
        return CODES["RB142"].find(1.0, f"{probe} returned every image unchanged.")
    if not outcomes.correct[tried].all():
        return ()
    if next(p for p in evidence.suite.probes if p.name == probe).surrogates:
        return ()  # to be robust to the attacks on others is nothing unheard of
    n = int(tried.sum())
    message = f"{probe} fooled none of {n} samples."
    if _falls_unbounded(evidence) and evidence.only(UNIT, [probe])[0] == 0:
        return (Finding("RB143", "info", f"{message} Without bound PGD fools all, so that eps may just be small."),)
    return CODES["RB143"].find(1.0, message, n)


def _falls_unbounded(evidence: Evidence) -> bool:
    name = f"{PREFIX}unbounded"
    return {name, UNIT} <= evidence.outcomes.keys() and evidence.asked(name) == evidence.fooled(name)


def _saturation(evidence: Evidence) -> tuple[Finding, ...]:
    """Logit gaps at which the cross-entropy has no gradient left in float32, and whether that mattered.

    A standardly trained network may be sure of itself in all honesty. Its numbers are only in doubt if something
    survives, and if attacks that know no saturation fool more than those on the cross-entropy.
    """
    if evidence.clean is None or not evidence.own():
        return ()
    margins = evidence.clean.margin
    count, n = int((margins > SATURATED_MARGIN).sum()), len(margins)
    text = f"have clean margins above {SATURATED_MARGIN:g}, where softmax saturates in float32"
    found = CODES["RB110"].share(count, n, f"{text}: attacks on the cross-entropy lose their gradient.")
    if found and evidence.survivors() == 0:
        return (Finding("RB110", "info", f"{count} of {n} samples {text}; no sample survives all the same."),)
    if found and UNIT in evidence and evidence.only(UNIT, evidence.own())[0] < 2 <= len(evidence.asked(UNIT)):
        message = f"{count} of {n} samples {text}; attacks on the margin fool no more samples."
        return (Finding("RB110", "info", message),)
    return found


def _measured(measured: Mapping[str, float]) -> tuple[Finding, ...]:
    """What was measured of the model at single images; see `measure`."""
    found: tuple[Finding, ...] = ()
    for key, code, text in (
        ("twin_flips", "RB103", "are of another class to the accelerated twin."),
        ("zero_gradients", "RB112", "have a gradient of the margin that vanishes, there or nearby."),
        ("bad_gradients", "RB113", "have a gradient of the margin with NaN or infinite entries."),
    ):
        if key in measured:
            found += CODES[code].share(int(measured[key]), int(measured["samples"]), text)
    for key, code, text in (
        ("fd_error", "RB114", "the gradient differs from finite differences by {:.2g} (median, relative)."),
        ("fd_signs", "RB114", "finite differences disagree with the gradient in the sign of {:.0%} of directions."),
        ("cosine", "RB115", "gradients at neighbouring points have a median cosine of {:.2g}."),
        ("unexplained", "RB116", "the gradient leaves {:.0%} of the margin's change between neighbours unexplained."),
    ):
        if key in measured:
            found += CODES[code].find(measured[key], text.format(measured[key]))
    if "unfooled" in measured:
        text = "that PGD-40 does not fool were still falling at its end."
        found += CODES["RB118"].share(int(measured["falling"]), int(measured["unfooled"]), text)
    return found


def _more_effort(evidence: Evidence) -> tuple[Finding, ...]:
    """Variants of PGD-20 on the margin that fool samples which neither it nor any attack of the suite fools."""
    found: tuple[Finding, ...] = ()
    base = [UNIT, *evidence.own()]
    for name, code, text in (
        ("double", "RB119", "with 40 steps"),
        ("restarts", "RB120", "with 5 restarts"),
        ("half-step", "RB121", "with half the step"),
        ("twice-step", "RB121", "with twice the step"),
    ):
        if UNIT in evidence and PREFIX + name in evidence:
            count, n = evidence.only(PREFIX + name, base)
            found += CODES[code].share(count, n, f"are fooled by PGD-20 on the margin only {text}.")
    return found


def _more_room(evidence: Evidence) -> tuple[Finding, ...]:
    """Samples that survive without bound, and samples that fall at a smaller eps and not at the next larger one."""
    found: tuple[Finding, ...] = ()
    steps = [("half-eps", "eps/2"), (UNIT.removeprefix(PREFIX), "eps"), ("twice-eps", "2 eps")]
    steps = [(PREFIX + name, text) for name, text in (*steps, ("unbounded", "no bound")) if PREFIX + name in evidence]
    for (small, less), (large, more) in pairwise(steps):
        count, n = evidence.only(small, [large])
        found += CODES["RB122"].share(count, n, f"are fooled by PGD-20 within {less} and not within {more}.")
    if PREFIX + "unbounded" in evidence:
        asked, fallen = evidence.asked(PREFIX + "unbounded"), evidence.fooled(PREFIX + "unbounded")
        text = "survive PGD-20 on the margin without any bound."
        found += CODES["RB123"].share(len(asked - fallen), len(asked), text)
    return found


def _strangers(evidence: Evidence) -> tuple[Finding, ...]:
    """Samples that fall to attacks without the model's gradient, and to none with it."""
    found: tuple[Finding, ...] = ()
    gradient = evidence.gradient()
    for probe in evidence.suite.probes if gradient else ():
        if probe.name in evidence and probe.attack is not None and probe.eps is None:
            code = "RB125" if probe.attack.use == BLIND[0] else "RB126" if probe.attack.use == BLIND[1] else ""
            code = "RB129" if probe.surrogates else code
            if code:
                count, n = evidence.only(probe.name, gradient)
                found += CODES[code].share(count, n, f"are fooled by {probe.name} and by no attack with the gradient.")
    return found


def _loss_gap(evidence: Evidence) -> tuple[Finding, ...]:
    """PGD on the margin that fools more than PGD on the cross-entropy, and what the latter's scores then overstate."""
    ce = f"{PREFIX}ce"
    if not {ce, UNIT} <= evidence.outcomes.keys():
        return ()
    count, n = evidence.only(UNIT, [ce])
    return CODES["RB131"].share(count, n, "are fooled by PGD-20 on the margin and not on the cross-entropy.")
