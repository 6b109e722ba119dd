"""The four corruptions by noise: Gaussian, shot, impulse and speckle."""

import torch
from torch import Tensor

from rbench.corruptions.randomness import Randomness


def gaussian_noise(x: Tensor, rng: Randomness, sigma: float) -> Tensor:
    """Noise added: x + sigma n, where n is standard normal for each element; draws normal(C, H, W)."""
    return torch.add(x, rng.normal(x.shape[1:]), alpha=sigma)


def shot_noise(x: Tensor, rng: Randomness, photons: float) -> Tensor:
    """Light counted photon by photon: N / photons, where N is Poisson of rate photons x; draws poisson(x, photons)."""
    return rng.poisson(x, photons) / photons


def impulse_noise(x: Tensor, rng: Randomness, amount: float) -> Tensor:
    """Elements replaced: each by 1 (salt) or 0 (pepper) with probability amount / 2 each; draws uniform(C, H, W).

    One number u settles both whether and what: u < amount / 2 is salt, amount / 2 <= u < amount is pepper.
    """
    u = rng.uniform(x.shape[1:])
    return x.mul(u >= amount).add_(u < amount / 2)


def speckle_noise(x: Tensor, rng: Randomness, sigma: float) -> Tensor:
    """Noise that grows with the light: x + x sigma n, n standard normal for each element; draws normal(C, H, W)."""
    return torch.addcmul(x, x, rng.normal(x.shape[1:]), value=sigma)
