"""The diagnostics by code: what `rbench explain` prints and what all findings and refusals refer to.

Codes RB141 and up are ours. Thresholds of the source named are its own where the text says so; all others are ours,
calibrated on the masked models of the tests and on the honest models of the catalog. Those on samples ask for a count
besides the share, so that one sample of a hundred, which rounding can move, never raises an alarm.
"""

from collections.abc import Mapping

from rbench.doubt.diagnostics import Bound, Diagnostic
from rbench.doubt.refusals import ATHALYE, AUTOATTACK, CARLINI, OURS, REFUSALS
from rbench.doubt.stand_ins import STAND_INS
from rbench.errors import unknown

PINTOR = "Pintor et al., Indicators of attack failure, NeurIPS 2022"
ADAPT = "write an attack for what hides the gradient (BPDA, a smooth stand-in) and add it to the suite"

MEASURED = (
    Diagnostic(
        "RB103",
        "io.twin",
        "images, clean and attacked, whose class differs between the model as given and the twin that attacks use",
        "Attacks climb another hill than the one that the referee judges.",
        "report it: the twin is dropped whenever logits or gradients differ on clean images by more than 1e-4",
        OURS,
        Bound(0.0005, 2),
        Bound(0.02, 4),
    ),
    Diagnostic(
        "RB110",
        "out.saturation",
        "clean margins above 17, beyond which softmax rounds to one-hot in float32",
        "The cross-entropy has lost its gradient, so that attacks which ascend it fail. It is only information where "
        "that cost nothing: nothing survives, or attacks on the margin fool no further sample.",
        "add an attack on the margin or on a loss that knows no scale, such as DLR",
        "Carlini and Wagner, IEEE S&P 2017; threshold ours",
        Bound(0.01, 2),
    ),
    Diagnostic(
        "RB112",
        "grad.zero",
        "gradients of the margin that vanish, at the images and at 3 random points of the ball of each",
        "A plateau: a sign, a rounding or a saturated unit stands between image and logits.",
        ADAPT,
        ATHALYE + "; any zero by AutoAttack's code, the shares ours",
        Bound(0.001, 2),
        Bound(0.05, 4),
    ),
    Diagnostic(
        "RB113",
        "grad.nonfinite",
        "gradients of the margin with NaN or infinite entries, at the same points",
        "Steps along such a gradient are noise at best.",
        "find the operation with an infinite slope, such as a square root at 0",
        OURS,
        error=Bound(0.0, 1),
    ),
    Diagnostic(
        "RB114",
        "grad.fd",
        "directional derivatives of the margin, along the gradient and 8 random directions, against central "
        "differences (h = 1e-3, 1e-4) of a float64 copy: the median relative error, and the share of wrong signs",
        "The gradient is not that of the function: a branch is detached, rounded or has a gradient of its own making.",
        ADAPT + "; if the gradient is such a stand-in already, show with black-box attacks that it suffices",
        ATHALYE + "; threshold ours",
        error=Bound(0.1),
        unit="number",
    ),
    Diagnostic(
        "RB115",
        "grad.noise",
        "the cosine between gradients of the margin at an image and at a random point within eps/4 of it; the median",
        "Shattered gradients: each step forgets the one before.",
        ADAPT + "; average gradients over random points; run a black-box attack with many restarts",
        "Balduzzi et al., Shattered gradients, ICML 2017; threshold ours",
        Bound(0.1),
        unit="number",
        below=True,
    ),
    Diagnostic(
        "RB116",
        "loss.unstable",
        "how much of the margin's change between neighbours its gradient g leaves unexplained: the sum of "
        "|m(x + u) - m(x) - g u| over that of |m(x + u) - m(x)|, for 10 random points u of the ball of eps/8",
        "The loss jumps between neighbours, so that its gradient does not say where it falls.",
        ADAPT,
        "after " + PINTOR + " (indicator 2), whose |m(x + u) - m(x)| / |m(x)| also speaks of linear models that are "
        "merely not robust; threshold ours",
        Bound(0.8),
        unit="number",
    ),
    Diagnostic(
        "RB118",
        "opt.incomplete",
        "samples that PGD-40 on the margin does not fool, and whose margin still fell by more than 5% of its whole "
        "fall in the last 10 steps",
        "The attack was stopped on its way down.",
        "give the attacks more steps until nothing changes",
        PINTOR + " (indicator 4); the 5% theirs, the shares ours",
        Bound(0.05, 3),
        Bound(0.2, 6),
    ),
)

COMPARED = (
    Diagnostic(
        "RB119",
        "opt.double",
        "samples that PGD on the margin fools in 40 steps and neither it in 20 nor any attack of the suite",
        "The attacks of the suite have not converged.",
        "double the steps of the suite's attacks until nothing changes",
        CARLINI,
        Bound(0.003, 2),
        Bound(0.01, 4),
    ),
    Diagnostic(
        "RB120",
        "opt.restart",
        "samples that 5 random restarts of PGD-20 on the margin fool, and neither one run nor any attack of the suite",
        "The loss has local minima in which single runs are caught.",
        "restart the suite's attacks until nothing changes",
        CARLINI,
        Bound(0.003, 2),
        Bound(0.05, 6),
    ),
    Diagnostic(
        "RB121",
        "opt.step",
        "samples that PGD-20 on the margin fools with half or twice the step, and neither as it is nor any attack of "
        "the suite",
        "The step is not chosen well for this model.",
        "tune the step, or use an attack that adapts it, such as APGD",
        CARLINI,
        Bound(0.005, 2),
        Bound(0.05, 6),
    ),
    Diagnostic(
        "RB122",
        "mono.eps",
        "samples that PGD-20 on the margin fools at an eps and not at the next larger one (of eps/2, eps, 2 eps, any)",
        "More room must help. If it does not, the attack finds by luck and not by gradient.",
        ADAPT,
        CARLINI,
        Bound(0.005, 2),
        Bound(0.02, 4),
    ),
    Diagnostic(
        "RB123",
        "mono.unbounded",
        "samples that survive PGD-20 on the margin although it may make any image of theirs",
        "An attack without bound must always succeed; here it is the attack that fails, not the model that holds.",
        ADAPT,
        PINTOR + " (indicator 6) and Carlini et al., 2019; threshold ours",
        error=Bound(0.01, 2),
    ),
    Diagnostic(
        "RB124",
        "mono.singlestep",
        "samples that FGSM fools and an attack of many steps, stronger by the order of the suite, does not",
        "Many steps get lost where one does not: masked gradients.",
        ADAPT,
        ATHALYE + "; threshold ours",
        Bound(0.005, 2),
        Bound(0.02, 6),
    ),
    Diagnostic(
        "RB125",
        "bb.square",
        "samples that the Square attack fools with 1,000 queries and no gradient attack does",
        "Random search beats the gradient: masked gradients.",
        ADAPT + "; until then count the worst case over both kinds",
        AUTOATTACK + " (0.2%); counts ours",
        Bound(0.002, 2),
        Bound(0.002, 3),
    ),
    Diagnostic(
        "RB126",
        "bb.noise",
        "samples that random points of the ball fool and no gradient attack does",
        "Chance beats the gradient: masked gradients.",
        ADAPT,
        ATHALYE + "; threshold ours",
        Bound(0.002, 2),
        Bound(0.005, 3),
    ),
    Diagnostic(
        "RB129",
        "tr.static",
        "samples that attacks crafted on surrogates fool and no gradient attack on the model itself does",
        "The model's own gradient is worse than a stranger's: masked gradients.",
        ADAPT + "; attack the parts that do not change with the input",
        "Athalye et al., ICML 2018; threshold ours",
        Bound(0.002, 2),
        Bound(0.01, 4),
    ),
    Diagnostic(
        "RB131",
        "loss.gap",
        "samples that PGD-20 fools by the margin and not by the cross-entropy",
        "The gradient of the cross-entropy is imbalanced or saturated: attacks that ascend it overstate robustness.",
        "trust scores of attacks on the margin only, and add one to the suite",
        "Jiang et al., Imbalanced gradients, 2023; threshold ours",
        Bound(0.05, 4),
    ),
    Diagnostic(
        "RB139",
        "rep.clean",
        "the clean accuracy against the one that the model's card reports, where the latter is outside the interval",
        "Other weights, another preprocessing or another test set than those of the paper.",
        "compare normalisation, resizing and checkpoint with the authors' code",
        OURS,
        Bound(0.003),
    ),
    Diagnostic(
        "RB141",
        "weaker.wins",
        "samples that an attack fools and another one, stronger by the order of the suite, does not",
        "The stronger attack is hindered, perhaps by masked gradients, or is not stronger on this model.",
        "report the worst case, and look for what hinders the stronger attack",
        CARLINI,
        Bound(0.005, 2),
    ),
    Diagnostic(
        "RB142",
        "attack.still",
        "whether an attack moved any image that the model gets right",
        "The attack did not run in any sense that counts.",
        "look at its gradient: RB112 says whether it vanishes",
        OURS,
        error=Bound(0.0),
    ),
    Diagnostic(
        "RB143",
        "attack.silent",
        "whether an attack fooled any of at least 30 images that the model gets right",
        "Perfect robustness is more often a broken attack. It is only information where the same attack without bound "
        "fools every image.",
        "evaluate at a larger eps: the curve must come down",
        CARLINI,
        Bound(0.0, 30),
    ),
    Diagnostic(
        "RB144",
        "attack.foreign",
        "whether an attack runs by the code of another package",
        "Results depend on that package's version and on the partition into blocks.",
        "nothing; it is said for the record",
        OURS,
    ),
)

CODES: Mapping[str, Diagnostic] = {
    d.code: d for d in sorted((*REFUSALS, *MEASURED, *COMPARED, *STAND_INS), key=lambda d: d.code)
}


def diagnostic(code: str) -> Diagnostic:
    """The diagnostic of a code or name such as RB114 or grad.fd; raises `UsageError` with the nearest match."""
    names = {d.name: d for d in CODES.values()}
    found = CODES.get(code.upper()) or names.get(code.lower())
    if found is None:
        raise unknown("diagnostic", code.upper() if code[:2].upper() == "RB" else code, [*CODES, *names])
    return found
