"""What each native attack asks of a model: a function of the attack's name, with the same defaults, to its passes.

The attack `rbench.attacks.NAME:NAME` is described by NAME below, with those of its arguments that passes depend on, and
`classes` where their number counts. The tests run all attacks of the folder and hold what the engine counts against
this; an attack without an entry fails them. Only a stand-in gradient (the hook `bpda`) adds to it, one forward for each
with a gradient, and several surrogates multiply it, since a pass through each of them counts.
"""

from collections.abc import Sequence

from rbench.costs.passes import Passes

DRAWS = 20  # of AutoAttack's version "rand"
FIRST, THEN, RANKED = 4, 15, 3  # the cascade's climbs after the first one, the later ones, those with a target
TURNS, TRIAL = 2, 100  # its diversifying steps, and the squares that tell whether gradients are masked


def fgsm() -> Passes:
    """One gradient."""
    return Passes(1, 1)


def pgd(*, steps: int = 20, restarts: int = 1, eot: int = 1) -> Passes:
    """A gradient a step, and a look at the end of each restart."""
    return Passes(steps + 1, steps) * restarts * eot


def mifgsm(*, steps: int = 20, eot: int = 1) -> Passes:
    """As one restart of PGD."""
    return pgd(steps=steps, eot=eot)


def apgd(
    *, classes: int, loss: str = "ce", steps: int = 100, restarts: int = 1, targets: int = 9, eot: int = 1
) -> Passes:
    """A look for the targets or the count of classes; for each target a gradient at the start and at every step."""
    turns = min(targets, classes - 1) if loss.endswith("targeted") else 1
    return Passes(1) + Passes(steps + 1, steps + 1) * turns * restarts * eot


def fab(*, classes: int, steps: int = 100, restarts: int = 1, targeted: bool = True, targets: int = 9) -> Passes:
    """A look for the targets; at every step a gradient (one a class, if not targeted) and a look."""
    turns, slopes = (min(targets, classes - 1), 1) if targeted else (1, classes)
    return Passes(1) + Passes(2, slopes) * steps * turns * restarts


def square(*, queries: int = 5000, restarts: int = 1) -> Passes:
    """The start and the queries."""
    return Passes(queries + 1) * restarts


def noise(*, draws: int = 1000) -> Passes:
    """One look a draw."""
    return Passes(draws)


def autoattack(*, classes: int, version: str = "standard") -> Passes:
    """The count of classes, and each attack with a look at what it found."""
    if version == "rand":
        stages = [apgd(classes=classes, loss=loss, eot=DRAWS) for loss in ("ce", "dlr")[: 2 if classes >= 3 else 1]]
        return sum((stage + Passes(DRAWS) for stage in stages), Passes(1))
    stages = [apgd(classes=classes), apgd(classes=classes, loss="dlr-targeted"), fab(classes=classes), square()]
    return sum((stage + Passes(1) for stage in stages), Passes(1))


def cascade(*, steps: int = 25, queries: int = 900) -> Passes:
    """Climbs and a trial of squares; then either squares, where gradients are masked, or more climbs."""
    straight, diverse = pgd(steps=steps), pgd(steps=TURNS + steps)
    begun = Passes(1) + straight + diverse * FIRST + Passes(TRIAL + 1) + Passes(1)
    return begun + (Passes(queries + 1) | Passes(RANKED) + diverse * THEN)


def deepfool(*, classes: int, steps: int = 50, candidates: int = 10) -> Passes:
    """A look at the image; at every step the slopes of all rivals and a look. Whoever crosses a boundary is done."""
    walked = Passes(2, min(candidates, classes) - 1) * steps
    return Passes(1 + walked.forwards, walked.backwards, met=False)


def cw(*, steps: int = 1000, searches: int = 9) -> Passes:
    """A gradient a step, and a look at the end; a round ends early where it no longer pays."""
    return Passes(steps * searches + 1, steps * searches, met=False)


def joint(*, steps: int = 20) -> Passes:
    """Gradients through the logits and through the type head, which count as two, and a look at the end."""
    return Passes(2 * steps + 1, 2 * steps)


def routed(
    *,
    variant: str = "V10",
    steps: int = 100,
    betas: Sequence[float] = (0.1, -0.1, 1.0, -1.0, 10.0, -10.0),
    shares: Sequence[float] = (0.25, 0.5, 0.75),
    points: int = 8,
) -> Passes | None:
    """The clean code, then phases on the full model, under fixed codes, or in disguise; None for V8.

    V8 has a phase for each branch, and only the model knows how many it has.
    """
    full, disguised = pgd(steps=steps), joint(steps=steps)
    fixed, code = Passes(2 * steps + 1, steps), Passes(1)
    hidden = Passes(disguised.forwards, disguised.backwards, met=False) * len(betas)  # a route may have no gradient
    phases = {
        "V0": full,
        "V1": fixed,
        "V2": full + code + fixed,
        "V3": hidden,
        "V4": full + code + fixed * len(shares),
        "V5": code * points + Passes((points + 1) * steps + 1, points * steps),
        "V10": fixed + full + code + fixed + full,
    }
    return code + phases[variant] if variant in phases else None
