"""Pre-activation residual networks (He et al., "Identity mappings in deep residual networks", ECCV 2016)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.models.masks import BlockMask, Subnet, joined, needs_residual
from rbench.models.normalise import Normalise


class PreActBlock(nn.Module):
    """BN-ReLU-conv3x3 twice, plus the shortcut: the input or, if the shape changes, a bare 1x1 conv of BN-ReLU(x).

    In training a share `dropout` of what the residual branch adds is dropped, and the rest scaled up to make good.
    """

    def __init__(self, in_planes: int, planes: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = planes
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        changes = stride != 1 or in_planes != planes
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False) if changes else None
        self.dropout = nn.Dropout(dropout) if dropout else None

    @property
    def filters(self) -> Tensor:
        """The weights that make the channels which a mask may drop."""
        return self.conv1.weight

    def forward(self, x: Tensor, mask: BlockMask | None = None) -> Tensor:
        """Features [B, planes, H/stride, W/stride]; a mask keeps only a subnet's channels (of conv1) and paths."""
        activated = F.relu(self.bn1(x))
        residual = self._residual(activated, mask) if needs_residual(mask) else None
        shortcut = x if self.shortcut is None else self.shortcut(activated)  # last: splits count layers as they run
        return joined(residual, shortcut, self.dropout, mask)

    def _residual(self, activated: Tensor, mask: BlockMask | None) -> Tensor:
        inner = F.relu(self.bn2(self.conv1(activated)))
        return self.conv2(inner if mask is None else mask.inner(inner))


class PreActResNet(nn.Module):
    """Stem conv3x3 (no BN), stages of pre-activation blocks, BN-ReLU, global average pooling, linear classifier."""

    def __init__(
        self,
        *,
        stem: int,
        stages: Sequence[tuple[int, int, int]],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        stem_stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        """`stages` lists (blocks, planes, stride of the first block); `mean` and `std` standardise each channel."""
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.stem = nn.Conv2d(len(mean), stem, 3, stem_stride, 1, bias=False)
        blocks, width = [], stem
        for count, planes, stride in stages:
            for index in range(count):
                blocks.append(PreActBlock(width, planes, stride if index == 0 else 1, dropout))
                width = planes
        self.blocks = nn.ModuleList(blocks)
        self.bn = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, subnet: Subnet | None = None) -> Tensor:
        """Logits [B, classes] of images in [0, 1]; with `subnet`, those of the subnet that the masks keep."""
        h = self.stem(self.normalise(x))
        for index, block in enumerate(self.blocks):
            h = block(h, None if subnet is None else subnet[index])
        h = torch.mean(F.relu(self.bn(h)), dim=(2, 3))
        return self.classifier(h)


def preact_resnet18(classes: int, mean: Sequence[float], std: Sequence[float]) -> PreActResNet:
    """PreActResNet-18 for 32x32 images: 4 stages of 2 blocks, 64 to 512 planes; 11,172,170 parameters at 10 classes."""
    stages = [(2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)]
    return PreActResNet(stem=64, stages=stages, classes=classes, mean=mean, std=std)


def preact_resnet_small(
    classes: int, mean: Sequence[float], std: Sequence[float], width: int = 16, dropout: float = 0.0
) -> PreActResNet:
    """A small sibling for `digits`: stem of stride 2, then one block a stage of width, 2 width and 4 width planes."""
    stages = [(1, width, 1), (1, 2 * width, 2), (1, 4 * width, 2)]
    return PreActResNet(stem=width, stages=stages, classes=classes, mean=mean, std=std, stem_stride=2, dropout=dropout)
