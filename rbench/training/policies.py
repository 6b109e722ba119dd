"""AutoAugment: pairs of operations that a search found for a data set (Cubuk et al., CVPR 2019)."""

import torch
from torch import Tensor

from rbench.recipe import Augment
from rbench.rng import Draws
from rbench.training.pictures import batch, pictures, pixels


def by_policy(x: Tensor, augment: Augment, rng: Draws) -> Tensor:
    """Images [B, C, H, W] in [0, 1], taken as 8-bit ones, each altered by one pair of operations of `augment.policy`.

    The policies are torchvision's. They draw from torch's global generator, which is seeded for each image anew, so
    that what becomes of it is a function of its stream in `rng`; afterwards the generator is as it was.
    """
    if augment.policy is None:
        return x
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    alter = AutoAugment(AutoAugmentPolicy(augment.policy), fill=augment.fill)
    seeds = rng.words(1, 0)[:, 0].tolist()
    altered = []
    with torch.random.fork_rng(devices=[]):
        for picture, seed in zip(pictures(x), seeds, strict=True):
            torch.default_generator.manual_seed(seed)  # of the CPU alone, where pictures are
            altered.append(pixels(alter(picture)))
    return batch(altered, like=x)
