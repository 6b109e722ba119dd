"""Distillation from two teachers, one of clean and one of adversarial images (MTARD)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rbench.errors import UsageError
from rbench.recipe import Recipe
from rbench.training.inner import perturb
from rbench.training.objectives import Objective, Taught, attack_of

INSIDE = 1e-5  # added to the teacher's probabilities inside their logarithm, as in the authors' program
TINY = 1e-12  # the least loss that counts, for a student that is its own teacher
SCALE = 10  # the program averages over the 10 classes, too, and for 100 classes makes good for it


def mtard(
    *,
    recipe: Recipe,
    clean: str,
    robust: str,
    clean_weights: str | None = None,
    robust_weights: str | None = None,
    tau: float = 1.0,
    eta: float = 0.025,
) -> Objective:
    """Distil a `clean` teacher on clean images x, and a `robust` one on adversarial images x' of the network itself.

    a_nat L(clean(x), f(x)) + a_adv L(robust(x'), f(x')), where L = tau^2 KL(teacher || student) at temperature tau,
    averaged over the batch and divided by 10. The weights are learnt (see `LossWeights`) at the pace `eta`, which falls
    as the learning rate does. Teachers are models of the catalog or code that builds them (`file.py:function`), with
    `clean_weights` and `robust_weights`, files, in the place of their own. Zhao, Yu, Sun, Zhang and Wei, "Enhanced
    accuracy and robustness via multi-teacher adversarial distillation", ECCV 2022, and github.com/zhaoshiji123/MTARD.
    """
    attack = attack_of(recipe, "MTARD")
    if recipe.label_smoothing:
        raise UsageError(f"recipe {recipe.name!r}: MTARD learns from teachers, not labels; remove label_smoothing.")
    if not (tau > 0 and 0 <= eta <= 1):
        raise UsageError(f"recipe {recipe.name!r}: tau = {tau} must be greater than 0, and eta = {eta} from 0 to 1.")
    memory = LossWeights(tau, eta)
    return Objective(
        lambda model, batch, rng: (batch.x, perturb(model, batch.x, batch.y, attack, rng)),
        lambda logits, _y: memory.loss(logits),
        shares=(0.5, 0.5),
        watched=1,
        uses=("attack",),
        clean=(True, False),
        teachers=(Taught(clean, clean_weights), Taught(robust, robust_weights)),
        memory=memory,
    )


def distillation(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """tau^2 sum_k p_k (log(p_k + 1e-5) - log q_k) / 10 of logits [B, K], averaged over the batch.

    p are the teacher's and q the student's probabilities at temperature tau.
    """
    p, log_q = torch.softmax(teacher / tau, dim=1), F.log_softmax(student / tau, dim=1)
    return tau**2 * (p * (torch.log(p + INSIDE) - log_q)).sum(1).mean() / SCALE


class LossWeights:
    """The weights (a_nat, a_adv) of the two losses, which begin at one half each and add up to 1.

    From the losses of each step, r = L / L of the first step, and a_nat goes `eta` of the way to r_nat / (r_nat +
    r_adv): who has learnt less weighs more. OURS: a step is weighed by what was learnt up to the one before, where the
    program weighs it by its own losses, too, since ranks and parts of a batch know only their own until it ends.
    """

    def __init__(self, tau: float, eta: float) -> None:
        self.tau, self.eta = tau, eta
        self.weights = torch.full((2,), 0.5, dtype=torch.float64)
        self.first = torch.zeros(2, dtype=torch.float64)  # until there was a step
        self._noted: Tensor | None = None

    def losses(self, logits: Sequence[Tensor]) -> Tensor:
        """Both losses, [2], of the logits on x and x' by the student, then by the teachers."""
        pairs = zip(logits[:2], logits[2:], strict=True)
        return torch.stack([distillation(student, teacher, self.tau) for student, teacher in pairs])

    def loss(self, logits: Sequence[Tensor]) -> Tensor:
        """What is minimised: the weighted sum."""
        losses = self.losses(logits)
        return (self.weights.to(losses) * losses).sum()

    def note(self, logits: Sequence[Tensor], share: float) -> None:
        """Add the losses of a part of a batch, which is that share of it."""
        losses = share * self.losses([part.detach() for part in logits]).double()
        self._noted = losses if self._noted is None else self._noted + losses

    def noted(self, device: torch.device) -> Tensor:
        """The losses [2] of the parts that were noted since this was last asked."""
        noted, self._noted = self._noted, None
        return torch.zeros(2, dtype=torch.float64, device=device) if noted is None else noted

    def learn(self, noted: Tensor, pace: float) -> None:
        """Move the weights by the losses [2] of a step, by `eta` times `pace`; nothing waits for the device."""
        losses, first = noted.clamp(min=TINY), self.first.to(noted)
        self.first = torch.where(first == 0, losses, first)
        ratio = losses / self.first
        weights = self.weights.to(noted)
        clean = weights[0] - self.eta * pace * (weights[0] - ratio[0] / ratio.sum())
        self.weights = torch.stack([clean, 1 - clean])

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"weights": self.weights.cpu(), "first": self.first.cpu()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken."""
        self.weights, self.first = state["weights"], state["first"]
