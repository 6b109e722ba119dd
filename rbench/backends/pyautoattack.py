"""AutoAttack and its four attacks by their authors' code, as published in the package pyautoattack.

Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
ICML 2020. Parameters are those of the native attacks of the same names.
"""

from typing import Any, Literal

from torch import Tensor, nn

from rbench.backends._third_party import third_party
from rbench.errors import UsageError
from rbench.rng import Draws
from rbench.types import Threat

Stage = Literal["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"]


@third_party("pyautoattack")
def autoattack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    version: Literal["standard", "rand", "custom"] = "standard",
    attacks: tuple[Stage, ...] = (),
) -> Tensor:
    """AutoAttack, each attack on what the ones before left unbroken.

    `standard` is APGD-CE, targeted APGD, targeted FAB and Square (5,000 queries); `rand`, for models that are random,
    APGD-CE and APGD-DLR on gradients averaged over 20 draws; `custom` the `attacks` named, one restart each. Raises
    `UsageError` where the model has too few classes for the DLR loss.
    """
    from pyautoattack import AutoAttack

    if (version == "custom") != bool(attacks):
        raise UsageError("`attacks` goes with version = 'custom', which needs it.")
    classes = model(x[:1]).shape[1]
    dlr = {"standard": 4, "rand": 3}.get(version, 4 if "apgd-t" in attacks else 3 if "apgd-dlr" in attacks else 2)
    _need(classes, dlr, "AutoAttack's")
    named = {"attacks": list(attacks)} if attacks else {}
    suite = AutoAttack(model, version=version, **named, **_common(threat, x, rng))
    suite.verbose = False
    suite.apgd.n_restarts = suite.fab.n_restarts = 1
    # Its number of targets is fixed for ten classes and more.
    suite.apgd_targeted.n_target_classes = suite.fab.n_target_classes = min(9, classes - 1)
    x_adv, _ = suite.run_standard_evaluation(x, y, batch_size=len(x))  # its `state_path` can never be resumed
    return x_adv


@third_party("pyautoattack")
def apgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    loss: Literal["ce", "dlr", "dlr-targeted"] = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    eot: int = 1,
    rho: float = 0.75,
) -> Tensor:
    """Auto-PGD on one loss; the targeted one asks the likeliest `targets` classes in turn, at most all others.

    Raises `UsageError` where the model has too few classes for the DLR loss.
    """
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    classes = model(x[:1]).shape[1]
    settings = {"n_iter": steps, "n_restarts": restarts, "eot_iter": eot, "rho": rho, **_common(threat, x, rng)}
    if loss == "dlr-targeted":
        _need(classes, 4, "APGD's")
        return APGDAttack_targeted(model, n_target_classes=min(targets, classes - 1), **settings).perturb(x, y)
    _need(classes, 3 if loss == "dlr" else 2, "APGD's")
    return APGDAttack(model, loss=loss, **settings).perturb(x, y)


@third_party("pyautoattack")
def fab(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    steps: int = 100,
    restarts: int = 1,
    targeted: bool = True,
    targets: int = 9,
) -> Tensor:
    """The fast adaptive boundary attack: a small step over the nearest boundary, kept where it ends in the ball.

    Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020.
    """
    from pyautoattack.fab_pt import FABAttack_PT

    targets = min(targets, model(x[:1]).shape[1] - 1)
    settings = {"n_iter": steps, "n_restarts": restarts, "targeted": targeted, "n_target_classes": targets}
    return FABAttack_PT(model, **settings, **_common(threat, x, rng)).perturb(x, y)


@third_party("pyautoattack")
def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    rng: Draws,
    queries: int = 5000,
    restarts: int = 1,
    p: float = 0.8,
) -> Tensor:
    """The Square attack: random search for squares that lower the margin, without gradients.

    Andriushchenko, Croce, Flammarion and Hein, "Square attack: a query-efficient black-box adversarial attack via
    random search", ECCV 2020. The size of the squares follows the schedule for 10,000 queries, as in AutoAttack.
    """
    from pyautoattack.square import SquareAttack

    settings = {"n_queries": queries, "n_restarts": restarts, "p_init": p, "resc_schedule": False}
    return SquareAttack(model, **settings, **_common(threat, x, rng)).perturb(x, y)


def _common(threat: Threat, x: Tensor, rng: Draws) -> dict[str, Any]:
    norm = {"linf": "Linf", "l2": "L2"}[threat.norm]
    return {"norm": norm, "eps": threat.radius, "seed": rng.integer(), "device": x.device}


def _need(classes: int, least: int, whose: str) -> None:
    if classes < least:
        kind = "targeted DLR loss" if least == 4 else "DLR loss"
        raise UsageError(f"{whose} {kind} needs at least {least} classes, the model has {classes}.")
