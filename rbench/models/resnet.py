"""Residual networks for 32x32 images (He et al., "Deep residual learning for image recognition", CVPR 2016).

The weights carry the names that circulate with checkpoints of this network for CIFAR, so that those load as they are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.models.normalise import Normalise


class ResNetBlock(nn.Module):
    """Conv3x3-BN-ReLU-conv3x3-BN plus the shortcut (the input or, if the shape changes, conv1x1-BN), then ReLU."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        projection = [nn.Conv2d(in_planes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)]
        self.shortcut = nn.Sequential(*(projection if stride != 1 or in_planes != planes else []))

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, planes, H/stride, W/stride]."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class ResNet(nn.Module):
    """Stem conv3x3-BN-ReLU, four stages of blocks with 64 to 512 planes, global average pooling, linear classifier."""

    def __init__(self, depths: Sequence[int], classes: int, normalise: nn.Module) -> None:
        """`depths` are the blocks of each stage."""
        super().__init__()
        self.normalise = normalise
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = [64, 64, 128, 256, 512]
        for index, depth in enumerate(depths, 1):
            entry = ResNetBlock(widths[index - 1], widths[index], 1 if index == 1 else 2)
            rest = [ResNetBlock(widths[index], widths[index], 1) for _ in range(depth - 1)]
            self.add_module(f"layer{index}", nn.Sequential(entry, *rest))
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images in [0, 1]."""
        h = F.relu(self.bn1(self.conv1(self.normalise(x))))
        for index in range(1, 5):
            h = self.get_submodule(f"layer{index}")(h)
        return self.linear(torch.mean(h, dim=(2, 3)))


def resnet18(classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> ResNet:
    """ResNet-18: 2 blocks a stage, 11,173,962 parameters at 10 classes; without `mean` and `std` images go in as is."""
    return ResNet(
        [2, 2, 2, 2], classes, Normalise(mean, std) if mean is not None and std is not None else nn.Identity()
    )
