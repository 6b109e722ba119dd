"""Which native attack is held against which of torchattacks, with matched arguments, and what may make them disagree.

Every change takes one cause away and keeps those before it. Where nothing is left to disagree about, all causes are
known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rbench.types import Call

FAR = ("l2", "56")  # no image of 3,072 values is out of it; for larger ones it grows
STEPS = 20


@dataclass(frozen=True)
class Change:
    """A cause that is taken away: what it is, and the arguments that do so on either side; `block` images share it."""

    what: str
    native: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    block: int | None = None


@dataclass(frozen=True)
class Pair:
    """Two attacks that answer one question; attacks of minimum norm have a `threat` of their own."""

    name: str
    title: str
    native: Call
    theirs: Call
    changes: tuple[Change, ...] = ()
    threat: tuple[Any, str] | None = None

    def stages(self) -> Iterator[tuple[str, Call, Call, int | None]]:
        """What was changed last, both calls, and how many images share a block: first as they are, then by changes."""
        native, theirs, block = dict(self.native.args), dict(self.theirs.args), None
        for change in (Change("same arguments"), *self.changes):
            native, theirs, block = {**native, **change.native}, {**theirs, **change.theirs}, change.block or block
            yield change.what, Call(self.native.use, native), Call(self.theirs.use, theirs), block


def _pairs(alpha: str) -> tuple[Pair, ...]:
    """The five pairs; `alpha` is the step of those that make many."""
    best = Change("and theirs returns its best image (last-iterate)", theirs={"best": True})
    many = {"steps": STEPS, "step": alpha}
    same = {"steps": STEPS, "alpha": alpha}
    return (
        Pair("fgsm", "FGSM", Call("rbench.attacks.fgsm:fgsm"), Call("torchattacks:FGSM")),
        Pair(
            "pgd",
            f"PGD-{STEPS}",
            Call("rbench.attacks.pgd:pgd", many),
            Call("torchattacks:PGD", same),
            (Change("without random starts", {"start": False}, {"random_start": False}), best),
        ),
        Pair(
            "mifgsm",
            f"MI-FGSM-{STEPS}",
            Call("rbench.attacks.mifgsm:mifgsm", {**many, "decay": 1.0}),
            Call("torchattacks:MIFGSM", {**same, "decay": 1.0}),
            (best,),
        ),
        Pair(
            "deepfool",
            "DeepFool",
            Call("rbench.attacks.deepfool:deepfool", {"steps": 50, "overshoot": 0.02, "candidates": 10}),
            Call("torchattacks:DeepFool", {"steps": 50, "overshoot": 0.02}),
            (Change("and theirs ends beyond rounding (on-the-edge)", theirs={"mend": ["on-the-edge"]}),),
            FAR,
        ),
        Pair(
            "cw",
            "CW",
            Call("rbench.attacks.cw:cw", {"steps": 50, "lr": 0.01, "searches": 1, "constant": 10.0}),
            Call("torchattacks:CW", {"steps": 50, "lr": 0.01, "c": 10.0, "kappa": 0.0}),
            (
                Change("without a zero among its logits (masked-zero)", theirs={"mend": ["masked-zero"]}),
                Change("and its pixels of 0 and 1 can move (tanh-ends)", theirs={"mend": ["masked-zero", "tanh-ends"]}),
                Change("and it takes one image at a time (batch-abort)", block=1),
            ),
            FAR,
        ),
    )


PAIRS = _pairs("6/255")
