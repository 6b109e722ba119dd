"""Models with hooks, so simple that the robust accuracy is known exactly."""

import torch
from torch import nn

from rbench.models.hooks import straight_through

SHAPE = (3, 4, 4)
TOOTH = 0.02  # the period of the masked router


class Linear(nn.Module):
    """Logits W (x - 1/2) with standard normal W."""

    def __init__(self, classes=2, pixels=48, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, pixels, generator=generator))

    def forward(self, x):
        return (x.flatten(1) - 0.5) @ self.weight.T


class Routed(Linear):
    """An honest router: logits W (x - 1/2) (1 + code / 2), where the code is tanh of other features."""

    def __init__(self, classes=2, pixels=48, seed=0):
        super().__init__(classes, pixels, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        self.signals = nn.Parameter(torch.randn(classes, pixels, generator=generator) / pixels**0.5)
        self.types = nn.Parameter(torch.randn(2, pixels, generator=generator) / pixels**0.5)

    def route(self, x):
        return torch.tanh((x.flatten(1) - 0.5) @ self.signals.T)

    def branches(self, x):
        zero = x.new_zeros(len(x), len(self.signals))
        return zero, zero + 1

    def type_logits(self, x):
        return (x.flatten(1) - 0.5) @ self.types.T

    def forward(self, x, code=None):
        return super().forward(x) * (1 + (self.route(x) if code is None else code) / 2)


class Masked(Linear):
    """A router that hides the way: logits z - 2 (z mod TOOTH), whose value follows z and whose gradient is that of -z.

    Under a fixed code the gradient is that of z. Logits differ from z by less than 2 TOOTH.
    """

    def route(self, x):
        return -2 * torch.remainder(super().forward(x), TOOTH)

    def branches(self, x):
        return (x.new_zeros(len(x), len(self.weight)),)

    def forward(self, x, code=None):
        return super().forward(x) + (self.route(x) if code is None else code)


class Quantised(Linear):
    """Pixels rounded to eighths: no gradient, but the worst case is that of the linear model, rounded."""

    def forward(self, x):
        return super().forward((x * 8).round() / 8)


class Hinting(Quantised):
    """The same with a stand-in: the gradient of the identity in the place of that of the rounding."""

    def bpda(self, x):
        return Linear.forward(self, straight_through((x * 8).round() / 8, x))


class Noisy(Linear):
    """Other weights for every forward pass: W plus normal noise of three times its scale."""

    def forward(self, x):
        noise = 3 * torch.randn_like(self.weight)
        return super().forward(x) + (x.flatten(1) - 0.5) @ noise.T


def routed_net():
    """An honest routed classifier of 3x32x32 images into ten classes, in double precision and frozen."""
    return Routed(10, 3072).double().requires_grad_(False).eval()


def problem(model, n=64, seed=1, spread=0.25):
    """Images in double precision near 1/2, so that no box is in the way of eps <= 1/4, and the model's own labels."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().requires_grad_(False).eval()
    x = 0.5 + spread * (2 * torch.rand(n, *SHAPE, generator=generator, dtype=torch.float64) - 1)
    return model, x, model(x).argmax(1)


def worst_linf(model, x, y, eps):
    """Of a two-class linear model, the images that have the least margin in the ball."""
    sign = torch.where(y == 0, 1.0, -1.0)[:, None] * (model.weight[0] - model.weight[1]).sign()
    return (x.flatten(1) - eps * sign).clamp(0, 1).view(x.shape)
