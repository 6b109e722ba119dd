"""The cost of a probe on paper, known before anything runs: passes of its attack and of its judging."""

from dataclasses import dataclass
from typing import Any, Literal

from rbench.catalog import bind
from rbench.costs import budgets
from rbench.costs.passes import Passes
from rbench.datasets import View
from rbench.types import Call, Probe

GIVEN = "classes"  # what a budget may ask of the dataset
Bound = Literal["exact", "standing", "at most", "not known"]


@dataclass(frozen=True)
class Cost:
    """What a sample takes: passes of the attack, as evidence counts them, None if not known; and forwards to judge it.

    The judge's are exact, and evidence leaves them out: the clean and the attacked image, or all corrupted ones.
    """

    attack: Passes | None
    judging: int
    attacked: bool = True

    @property
    def bound(self) -> Bound:
        """Whether every sample takes this, each one that withstands, or none more; "not known" if nobody says."""
        if not self.attacked:
            return "exact"
        if self.attack is None:
            return "not known"
        return "standing" if self.attack.met else "at most"

    def forwards(self, samples: int) -> int | None:
        """Forwards of attack and judge, for so many samples."""
        return None if self.attack is None else samples * (self.attack.forwards + self.judging)

    def backwards(self, samples: int) -> int | None:
        """Backwards of the attack, for so many samples."""
        return None if self.attack is None else samples * self.attack.backwards


def cost(probe: Probe, classes: int, *, draws: int = 1, view: View | None = None) -> Cost:
    """The cost of a sample of a probe, on a dataset of so many classes, judged by so many draws of the model.

    `view` is that of a probe with `data`: a forward for each of its groups and frames. Raises `UsageError` for
    arguments of the attack that are of the wrong type.
    """
    if view is not None:
        return Cost(Passes(0), len(view.groups) * view.frames * draws, attacked=False)
    members = len(probe.surrogates)
    judging = (2 + members) * draws
    if probe.attack is None:
        return Cost(Passes(0), judging, attacked=False)
    alone = budget(probe.attack, classes)
    return Cost(alone * max(members, 1) if alone is not None else None, judging)


def budget(attack: Call, classes: int) -> Passes | None:
    """The passes of a sample by one attack on a model of so many classes; None where nothing is known of it."""
    module, _, name = attack.use.partition(":")
    function = getattr(budgets, name, None) if module == f"rbench.attacks.{name}" else None
    if function is None:
        return None
    wanted = function.__kwdefaults__ or {}
    args = {key: value for key, value in attack.args.items() if key in wanted}
    given = {GIVEN: classes} if GIVEN in function.__annotations__ else {}
    found: Passes | None = bind(Call(f"{budgets.__name__}:{name}", args), given)(**given)
    return found


def columns(found: Cost, samples: int) -> dict[str, Any]:
    """The columns of a plan for one probe with so many samples left: passes of each sample and of all, and the bound.

    What is not known is None.
    """
    attack = found.attack
    return {
        "forwards_each": None if attack is None else attack.forwards,
        "backwards_each": None if attack is None else attack.backwards,
        "judging_each": found.judging,
        "forwards": found.forwards(samples),
        "backwards": found.backwards(samples),
        "bound": found.bound,
    }
