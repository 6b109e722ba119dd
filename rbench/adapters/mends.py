"""Mended versions of torchattacks' attacks: each mends one defect, so that what it costs can be measured."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from rbench.attacks._hunt import EDGE
from rbench.errors import unknown

INSIDE = 1 - 1e-3  # of the way from 0.5 to 0 or 1, as in rbench.attacks.cw


def mended(kind: type[Any], name: str, mends: Iterable[str]) -> type[Any]:
    """The class of an attack with some of its defects mended; raises `UsageError` for one that has no mend."""
    for mend in mends:
        known = MENDS.get(name, {})
        if mend not in known:
            raise unknown("mend", mend, known, f"torchattacks:{name}")
        kind = known[mend](kind)
    return kind


def _tanh_ends(kind: type[Any]) -> type[Any]:
    """CW: pixels of exactly 0 and 1 start a little inside, where tanh has a slope."""

    class Mended(kind):  # type: ignore[misc]
        def inverse_tanh_space(self, x: Tensor) -> Tensor:
            return torch.atanh((2 * x - 1) * INSIDE)

    return Mended


def _masked_zero(kind: type[Any]) -> type[Any]:
    """CW: the largest other logit is looked for among the other logits, and not among them and a zero."""

    class Mended(kind):  # type: ignore[misc]
        def f(self, outputs: Tensor, labels: Tensor) -> Tensor:
            real = outputs.gather(1, labels[:, None])[:, 0]
            other = outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
            gap = other - real if self.targeted else real - other
            return gap.clamp(min=-self.kappa)

    return Mended


def _on_the_edge(kind: type[Any]) -> type[Any]:
    """DeepFool: the label's logit gets a lead of what rounding may be, so that the walk ends beyond the boundary."""

    class Mended(kind):  # type: ignore[misc]
        def _forward_indiv(self, image: Tensor, label: Tensor) -> Any:
            self._label = label
            return super()._forward_indiv(image, label)

        def get_logits(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
            logits: Tensor = super().get_logits(inputs, *args, **options)
            lead = torch.zeros_like(logits)
            lead[:, self._label] = EDGE * logits.detach().abs().amax()
            return logits + lead

    return Mended


MENDS: Mapping[str, Mapping[str, Callable[[type[Any]], type[Any]]]] = {
    "CW": {"tanh-ends": _tanh_ends, "masked-zero": _masked_zero},
    "DeepFool": {"on-the-edge": _on_the_edge},
}
