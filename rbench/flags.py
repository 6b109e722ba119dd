"""Outcomes to findings: signs that an evaluation cannot be trusted; pure functions of the evidence.

The signs follow Athalye et al. (ICML 2018) and Carlini et al., "On evaluating adversarial robustness" (2019).
"""

from collections.abc import Mapping

import numpy as np

from rbench.types import Finding, Outcomes, Suite

ONLY_WEAKER = 0.005  # share of all samples that only the weaker attack fools
SATURATED_MARGIN = 17.0  # beyond it softmax rounds to one-hot in float32 and the gradient of CE vanishes
SATURATED_SHARE = 0.01
ENOUGH = 30  # attacked samples below which silence means little


def find(suite: Suite, probe: str, evidence: Mapping[str, Outcomes]) -> tuple[Finding, ...]:
    """The findings on one probe, given the outcomes of all probes that are complete."""
    attacked = [p for p in suite.probes if p.attack is not None]
    if probe not in {p.name for p in attacked}:
        return ()
    findings = [*_weaker_wins(probe, [p.name for p in attacked], evidence)]
    clean = next((evidence[p.name] for p in suite.probes if p.attack is None and p.name in evidence), None)
    if clean is not None:
        findings += _silence(clean, evidence[probe])
        findings += _saturation(clean)
    return tuple(findings)


def _weaker_wins(probe: str, order: list[str], evidence: Mapping[str, Outcomes]) -> list[Finding]:
    """A weaker attack (earlier in the suite) that fools samples which this one does not: masked gradients."""
    found = []
    for weaker in order[: order.index(probe)]:
        if weaker in evidence:
            only = ~evidence[weaker].correct & evidence[probe].correct
            if only.mean() > ONLY_WEAKER:
                message = (
                    f"{weaker} fools {int(only.sum())} of {len(only)} samples that {probe} does not: "
                    "the stronger attack is hindered, perhaps by masked gradients."
                )
                found.append(Finding("weaker-attack-wins", "warn", message))
    return found


def _silence(clean: Outcomes, attacked: Outcomes) -> list[Finding]:
    """An attack that moves nothing, or moves and fools nothing."""
    tried = clean.correct
    if not tried.any():
        return []
    if not attacked.distance[tried].any():
        return [Finding("nothing-moved", "error", "the attack returned every image unchanged.")]
    if tried.sum() >= ENOUGH and attacked.correct[tried].all():
        message = f"the attack fooled none of {int(tried.sum())} samples; check it against a larger eps."
        return [Finding("nothing-fooled", "warn", message)]
    return []


def _saturation(clean: Outcomes) -> list[Finding]:
    """Logit gaps at which the cross-entropy has no gradient left in float32."""
    share = float(np.mean(clean.margin > SATURATED_MARGIN))
    if share <= SATURATED_SHARE:
        return []
    message = (
        f"{share:.1%} of clean margins exceed {SATURATED_MARGIN:g}: softmax saturates in float32 and attacks on the "
        "cross-entropy lose their gradient."
    )
    return [Finding("saturated-logits", "warn", message)]
