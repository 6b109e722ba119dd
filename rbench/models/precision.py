"""Models of another precision than float32, which the engine, the attacks and the referee speak."""

import torch
from torch import Tensor, nn

from rbench.errors import ModelError
from rbench.models.hooks import hooks_of


class Cast(nn.Module):
    """A model of another floating point type, asked with float32 images and answering with float32 logits."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner, self.dtype = inner, dtype

    def forward(self, x: Tensor) -> Tensor:
        """The logits [B, K] in float32 of images x [B, C, H, W]; the arithmetic in between is the model's own."""
        logits: Tensor = self.inner(x.to(self.dtype))
        return logits.float()


def in_float32(model: nn.Module) -> nn.Module:
    """The model itself if its parameters are in float32, or it has none, else the model behind a cast.

    Raises `ModelError` for a model of several floating point types, whose input type nobody can know, and for one with
    hooks, whose codes a cast would not reach.
    """
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    if dtypes <= {torch.float32}:
        return model
    named = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
    if len(dtypes) > 1:
        raise ModelError(f"the model's parameters are of several types ({named}); convert it to one: model.float().")
    if hooks_of(model):
        raise ModelError(f"the model has hooks and parameters in {named}; convert it: model.float().")
    return Cast(model, dtypes.pop()).train(model.training)
