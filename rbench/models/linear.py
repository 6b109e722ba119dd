"""A linear classifier, on which the best perturbation is known in closed form."""

from torch import Tensor, nn


class Linear(nn.Module):
    """Logits W x + b of flattened images [B, C, H, W]."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes]."""
        return self.classifier(x.flatten(1))


def linear(features: int, classes: int) -> Linear:
    """A linear classifier of images with `features` = C H W values."""
    return Linear(features, classes)
