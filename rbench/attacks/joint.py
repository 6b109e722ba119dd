"""AW-Net's own adaptive attack: PGD that also misleads the head that tells clean images from adversarial ones."""

import torch.nn.functional as F
from torch import Tensor, nn

from rbench.attacks._chase import Chase
from rbench.attacks._hooks import hook
from rbench.attacks._losses import cross_entropy
from rbench.rng import Draws
from rbench.types import Threat, fraction

ADVERSARIAL = 0  # the column of `type_logits` that means an adversarial image: y' of the paper


def joint(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 20,
    rel_step: str = "153/1600",
    step: str | None = None,
    type_weight: float = 1.0,
    weight: float = 0.5,
    stop: bool = True,
) -> Tensor:
    """Ascend the loss that AW-Net is trained by, from a uniform start, in steps of `step` or of `rel_step` eps.

    L(x') = -type_weight log P(adversarial | x') + weight CE(f(x'), y), with P = softmax(type_logits(x')): the attack
    maximises what training minimises, so that x' comes to look clean. After equation 22 of AW-Net (arXiv 2306.03430),
    which attacks with PGD_trades: 20 steps of 0.003 at eps = 8/255, for which `rel_step` stands; `weight` is the a1
    that its training begins with. Ours, because an attack has no teachers: the cross-entropy in the place of the
    distillation from the robust teacher; the term of the clean image does not depend on x' and is left out. Ours too:
    the iterate with the least margin is returned, and a sample that has fallen is left alone. The paper reports this
    attack weaker than plain PGD_trades; `routed` in variant V3 is the stronger one. At most 2 steps + 1 forwards (the
    head's counted) and 2 steps backwards a sample. Raises `UsageError` without the hook `type_logits`.
    """
    types = hook(model, "type_logits", "joint")
    length = (
        float(fraction(step, "step")) if step is not None else float(fraction(rel_step, "rel_step")) * threat.radius
    )

    def objective(x_adv: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        logits, kinds = model(x_adv), types(x_adv)
        looks_clean = F.cross_entropy(kinds, rows.new_full((len(rows),), ADVERSARIAL), reduction="none")
        return type_weight * looks_clean + weight * cross_entropy(logits, y[rows]), logits

    chase = Chase(model, x, y, threat, rng, stop)
    chase.run(objective, [length] * steps)
    return chase.result()


joint.needs = ("type_logits",)  # type: ignore[attr-defined]  # read by the engine, before anything is run
