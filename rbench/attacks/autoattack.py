"""AutoAttack by its authors' code, as published in the package pyautoattack."""

from typing import Literal

from torch import Tensor, nn

from rbench.attacks._third_party import third_party
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.types import Threat


@third_party("pyautoattack")
def autoattack(
    model: nn.Module, x: Tensor, y: Tensor, threat: Threat, *, rng: Draws, version: Literal["standard"] = "standard"
) -> Tensor:
    """APGD-CE, targeted APGD, targeted FAB and Square (5,000 queries), each on what the ones before left unbroken.

    Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
    ICML 2020. Raises `UsageError` below 4 classes, where the targeted DLR loss is undefined.
    """
    from pyautoattack import AutoAttack

    classes = model(x[:1]).shape[1]
    if classes < 4:
        raise UsageError(f"AutoAttack's targeted DLR loss needs at least 4 classes, the model has {classes}.")
    norm: Literal["Linf", "L2"] = "Linf" if threat.norm == "linf" else "L2"
    attack = AutoAttack(model, norm=norm, eps=threat.radius, seed=rng.integer(), version=version, device=x.device)
    attack.verbose = False
    # Its number of targets is fixed for ten classes and more.
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
    x_adv, _ = attack.run_standard_evaluation(x, y, batch_size=len(x))  # its `state_path` can never be resumed
    return x_adv
