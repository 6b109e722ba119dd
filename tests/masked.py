"""A zoo of classifiers of digits that hide their gradient, or break the rules, each in one deliberate way.

Those that the networks of the catalog do not serve for are random features with a linear read-out by least squares,
which is trained in no time.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rbench
from rbench.data.digits import digits
from rbench.models.linear import linear

FEATURES = 512


class Readout(nn.Module):
    """Layers of random features, each with an activation, and the linear read-out that fits the training images."""

    def __init__(self, activation, *, layers=1):
        super().__init__()
        self.activation = activation
        generator = torch.Generator().manual_seed(0)
        sizes = [3 * 32 * 32, *[FEATURES] * layers]
        random = [torch.randn(a, b, generator=generator) / math.sqrt(a) for a, b in pairwise(sizes)]
        self.random = nn.ParameterList(nn.Parameter(matrix, requires_grad=False) for matrix in random)
        data = digits("train")
        x, y = torch.from_numpy(data.pixels).float() / 255, torch.from_numpy(data.labels)
        features = self.features(x).double()
        ridge = 1e-3 * features.square().sum() / FEATURES * torch.eye(FEATURES)
        weight = torch.linalg.solve(features.T @ features + ridge, features.T @ (F.one_hot(y, 10).double() - 0.1))
        self.weight = nn.Parameter(10 * weight.float(), requires_grad=False)

    def features(self, x: Tensor) -> Tensor:
        """Activations [B, F]."""
        z = x.flatten(1) - 0.3
        for matrix in self.random:
            z = self.activation(z @ matrix)
        return z

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10]."""
        return self.features(x) @ self.weight


class Front(nn.Module):
    """A network of the catalog behind a function of the image."""

    def __init__(self, front, name="at-digits"):
        super().__init__()
        self.net, self.front = rbench.load_model(name), front

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10]."""
        return self.net(self.front(x))


class Back(nn.Module):
    """A network of the catalog before a function of its logits."""

    def __init__(self, back, name="at-digits"):
        super().__init__()
        self.net, self.back = rbench.load_model(name), back

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10]."""
        return self.back(self.net(x))


class Detached(nn.Module):
    """A network whose gradient is cut, beside a weak branch of which alone the gradient speaks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.weak = rbench.load_model("at-digits"), linear(3 * 32 * 32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10]."""
        return self.net(x).detach() + 0.1 * self.weak(x)


class Company(nn.Module):
    """Normalises images by the statistics of their batch, as a batch norm in train mode does."""

    def __init__(self, *, keeps):
        super().__init__()
        self.net, self.keeps = rbench.load_model("at-digits"), keeps
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 10]."""
        mean = x.mean((0, 2, 3))
        if self.keeps:
            with torch.no_grad():
                self.mean += 0.1 * (mean - self.mean)
            return self.net(x)
        return self.net(x - mean.view(1, 3, 1, 1) + 0.3)


def winners_take_all(z: Tensor) -> Tensor:
    """Only the 5% largest activations pass (Xiao et al., k-winners-take-all, ICLR 2020)."""
    least = z.topk(math.ceil(0.05 * z.shape[1]), dim=1).values[:, -1:]
    return torch.where(z >= least, z, 0)


def rounded(x: Tensor) -> Tensor:
    """Images of 9 levels of grey."""
    return (8 * x).round() / 8


def noisy(z: Tensor) -> Tensor:
    """Logits with noise."""
    return z + torch.randn_like(z)


def undefined(z: Tensor) -> Tensor:
    """Logits of which one is 0/0 for some images."""
    return z / (z.amax(1, keepdim=True) > 8).float()
