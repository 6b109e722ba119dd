"""What is known to be wrong with torchattacks' attacks: read in the source of version 3.5.1, with text that shows it.

The tests look every `quote` up in the package that is installed, so that a version that mends one is noticed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rbench.errors import unknown

PACKAGE, VERSION = "torchattacks", "3.5.1"
ALL = ("any attack",)
STEPPED = (
    "BIM", "DIFGSM", "EOTPGD", "Jitter", "MIFGSM", "NIFGSM", "PGD", "RFGSM", "SINIFGSM", "TIFGSM", "TPGD", "UPGD",
    "VMIFGSM", "VNIFGSM",
)  # fmt: skip
MOMENTUM = ("DIFGSM", "MIFGSM", "NIFGSM", "SINIFGSM", "TIFGSM", "UPGD", "VMIFGSM", "VNIFGSM")
NAMES = (
    "VANILA", "GN", "FGSM", "BIM", "RFGSM", "PGD", "EOTPGD", "FFGSM", "TPGD", "MIFGSM", "UPGD", "APGD", "APGDT",
    "DIFGSM", "TIFGSM", "Jitter", "NIFGSM", "PGDRS", "SINIFGSM", "VMIFGSM", "VNIFGSM", "SPSA", "JSMA", "EADL1",
    "EADEN", "PIFGSM", "PIFGSMPP", "CW", "PGDL2", "DeepFool", "PGDRSL2", "SparseFool", "OnePixel", "Pixle", "FAB",
    "AutoAttack", "Square",
)  # fmt: skip
ADAPTER = (
    'a suite names it as use = "torchattacks:NAME", with the package\'s own arguments; fractions are welcome ("2/255")',
    "eps, norm, seed and the number of classes come from the suite; what the model gets wrong is not attacked",
    "the referee judges what it returns, on the model as given; whatever leaves the ball or [0, 1] is refused (RB102)",
    "an attack that knows no eps (CW, DeepFool, EAD, JSMA, ...) is projected into the ball from where it ended",
    "best = true returns, of all images in the ball that it asked about, the one of least margin",
    "mend = [...] mends defects first, to measure what they cost",
    "its blocks are run one by one, since their images share random numbers; its cells say whose numbers they are",
)


@dataclass(frozen=True)
class Defect:
    """One defect: the attacks that have it, the file and text that show it, what follows, and what helps here."""

    name: str
    attacks: tuple[str, ...]
    file: str
    quote: str
    what: str
    remedy: str = ""


DEFECTS = (
    Defect(
        "last-iterate",
        (*STEPPED, "PGDL2"),
        "attacks/pgd.py",
        "images + delta, min=0, max=1).detach()\n\n        return adv_images",
        "Returns the last iterate: an adversarial image found on the way and left again is lost, and counts as robust.",
        "best = true",
    ),
    Defect(
        "fixed-step",
        (*STEPPED, "FFGSM"),
        "attacks/pgd.py",
        "eps=8 / 255, alpha=2 / 255, steps=10",
        "The default step is a number (2/255, FFGSM 10/255) that does not follow eps: 10 steps of 2/255 never reach "
        "the border of a ball wider than 20/255.",
        'name alpha = "..." and steps',
    ),
    Defect(
        "zero-gradient",
        MOMENTUM,
        "attacks/mifgsm.py",
        "grad / torch.mean(torch.abs(grad), dim=(1, 2, 3), keepdim=True)",
        "Divides by the mean of |gradient| without a guard: one gradient of exactly 0 makes the momentum NaN for ever, "
        "the image stays where it is, and counts as robust.",
        "the native attack rbench.attacks.mifgsm:mifgsm adds nothing where the gradient is 0, and goes on",
    ),
    Defect(
        "no-momentum",
        ("DIFGSM", "TIFGSM"),
        "attacks/difgsm.py",
        "decay=0.0,",
        "The default decay is 0: no momentum at all, where the papers' attacks have 1.",
        "decay = 1.0",
    ),
    Defect(
        "shared-draw",
        ("DIFGSM", "TIFGSM"),
        "attacks/difgsm.py",
        "size=(1,), dtype=torch.int32",
        "One size, one place and one toss of the coin for the whole batch: results depend on who shares it.",
        "block = 1 in the probe",
    ),
    Defect(
        "three-channels",
        ("PIFGSM", "PIFGSMPP", "TIFGSM"),
        "attacks/tifgsm.py",
        'stride=1, padding="same", groups=3',
        "Convolves with three groups: images of any other number of channels crash.",
    ),
    Defect(
        "masked-zero",
        ("CW",),
        "attacks/cw.py",
        "other = torch.max((1 - one_hot_labels) * outputs, dim=1)[0]",
        "Looks for the largest logits among products with a mask of zeros, so that a 0 takes part: where the label's "
        "or all other logits are negative, the loss has no, or a wrong, gradient.",
        'mend = ["masked-zero"]',
    ),
    Defect(
        "tanh-ends",
        ("CW",),
        "attacks/cw.py",
        "torch.clamp(x * 2 - 1, min=-1, max=1)",
        "Starts pixels of exactly 0 and 1 at minus and plus infinity, where tanh is flat: they never move.",
        'mend = ["tanh-ends"]',
    ),
    Defect(
        "no-search",
        ("CW",),
        "attacks/cw.py",
        "Binary search for c is NOT IMPLEMENTED",
        "Does not search for the weight c, as the paper does: one c = 1 for all images and models.",
        "the native attack rbench.attacks.cw:cw searches",
    ),
    Defect(
        "batch-abort",
        ("CW",),
        "attacks/cw.py",
        "if cost.item() > prev_cost:\n                    return best_adv_images",
        "Gives up the whole batch when the summed cost has risen between two looks (ten in all), images on the way "
        "included; what is found depends on who shares the batch.",
        "block = 1 in the probe",
    ),
    Defect(
        "one-by-one",
        ("DeepFool",),
        "attacks/deepfool.py",
        "for idx in range(batch_size):",
        "Walks image by image, with one backward pass for each class and step: slow, and slower the more classes.",
        "the native attack rbench.attacks.deepfool:deepfool walks in batches, among the likeliest 10 classes",
    ),
    Defect(
        "on-the-edge",
        ("DeepFool",),
        "attacks/deepfool.py",
        "if pre != label:\n            return (True, pre, image)",
        "Stops as soon as the largest logit is another one, by however little: images end on the boundary within "
        "rounding of float32, and the same model, asked in a batch, may still say the label.",
        'mend = ["on-the-edge"]',
    ),
    Defect(
        "ten-steps",
        ("APGD", "APGDT", "FAB"),
        "attacks/apgd.py",
        "steps=10,",
        "The default is 10 steps, where the papers' have 100.",
        "steps = 100",
    ),
    Defect(
        "not-autoattack",
        ("AutoAttack",),
        "attacks/autoattack.py",
        "norm=norm,\n                        seed=self.get_seed(),\n                        verbose=verbose,\n"
        '                        loss="ce",\n                        n_restarts=1,',
        "Builds APGD, APGD-T and FAB without naming their steps, so with 10 in the place of 100: its number is no "
        "AutoAttack number, and too high.",
        "rbench.attacks.autoattack:autoattack, or --backend pyautoattack",
    ),
    Defect(
        "rescaled-schedule",
        ("AutoAttack", "Square"),
        "attacks/square.py",
        "resc_schedule=True,",
        "Square shrinks its squares by a schedule rescaled to the number of queries; AutoAttack's own does not.",
        "resc_schedule = false, for Square",
    ),
    Defect(
        "ten-iterations",
        ("EADEN", "EADL1"),
        "attacks/eadl1.py",
        "iteration % (self.max_iterations // 10) == 0",
        "Fewer than 10 iterations divide by zero and crash.",
        "max_iterations = 10 or more, or abort_early = false",
    ),
    Defect(
        "ten-classes",
        ("JSMA",),
        "attacks/jsma.py",
        "target_labels = (labels + 1) % 10",
        "Without a target it asks for class (label + 1) mod 10, whatever the number of classes.",
    ),
    Defect(
        "training-flags",
        ALL,
        "attack.py",
        "if given_training:\n            self.model.train()",
        "A model found in training mode is left with all its parts in that mode, batch norm that was frozen included.",
        "the adapter shows it a shell, and never the model",
    ),
    Defect(
        "overwrites-robustbench",
        ALL,
        "../torchattacks-3.5.1.dist-info/RECORD",
        "robustbench/eval.py,",
        "Its wheel holds 25 files of robustbench, which overwrite that package's own where both are installed.",
        "an environment each (bash .ci/extras)",
    ),
    Defect(
        "old-requests",
        ALL,
        "../torchattacks-3.5.1.dist-info/METADATA",
        "Requires-Dist: requests (~=2.25.1)",
        "Wants requests 2.25, which newer packages refuse.",
        "an environment of its own (bash .ci/extras)",
    ),
)


def of(attack: str) -> tuple[Defect, ...]:
    """The defects of an attack, those of the whole package left out; raises `UsageError` for a name it has not."""
    if attack not in NAMES:
        raise unknown("attack", attack, NAMES, PACKAGE)
    return tuple(defect for defect in DEFECTS if attack in defect.attacks)


def shown(name: str) -> Mapping[str, Any]:
    """What `rbench show torchattacks` and `rbench show torchattacks:NAME` print: the adapter, and known defects."""
    package, _, attack = name.partition(":")
    found = of(attack) if attack else DEFECTS
    told: dict[str, Any] = {"use": name if attack else f"{package}:NAME", "adapter": list(ADAPTER)}
    if not attack:
        told["attacks"] = list(NAMES)
    return {**told, "read in": f"{PACKAGE} {VERSION}", "known defects": list(_rows(found, named=not attack))}


def _rows(defects: tuple[Defect, ...], *, named: bool) -> Iterator[dict[str, Any]]:
    for defect in defects:
        whose = {"attacks": list(defect.attacks)} if named else {}
        yield {
            "defect": defect.name,
            **whose,
            "what": defect.what,
            "where": f"{PACKAGE}/{defect.file}: {defect.quote.splitlines()[0].strip()}",
            **({"here": defect.remedy} if defect.remedy else {}),
        }
