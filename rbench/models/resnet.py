"""Residual networks (He et al., "Deep residual learning for image recognition", CVPR 2016), for 32x32 and 224x224.

The weights carry the names that circulate with checkpoints of these networks for CIFAR, so that those load as they are.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.models.masks import BlockMask, Subnet, joined, needs_residual
from rbench.models.normalise import Normalise


class ResNetBlock(nn.Module):
    """Conv3x3-BN-ReLU-conv3x3-BN plus the shortcut (the input or, if the shape changes, conv1x1-BN), then ReLU.

    In training a share `dropout` of what the residual branch adds is dropped, and the rest scaled up to make good.
    """

    expansion = 1

    def __init__(self, in_planes: int, planes: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = planes
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = _projection(in_planes, planes, stride)
        self.dropout = nn.Dropout(dropout) if dropout else None

    @property
    def filters(self) -> Tensor:
        """The weights that make the channels which a mask may drop."""
        return self.conv1.weight

    def forward(self, x: Tensor, mask: BlockMask | None = None) -> Tensor:
        """Features [B, planes, H/stride, W/stride]; a mask keeps only a subnet's channels (of conv1) and paths."""
        residual = self._residual(x, mask) if needs_residual(mask) else None
        return F.relu(joined(residual, self.shortcut(x), self.dropout, mask))

    def _residual(self, x: Tensor, mask: BlockMask | None) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(h if mask is None else mask.inner(h)))


class Bottleneck(nn.Module):
    """Conv1x1-BN-ReLU-conv3x3-BN-ReLU-conv1x1-BN plus the shortcut, then ReLU; the 3x3 one has the stride."""

    expansion = 4

    def __init__(self, in_planes: int, planes: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width, out = planes, self.expansion * planes
        self.conv1 = nn.Conv2d(in_planes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut = _projection(in_planes, out, stride)
        self.dropout = nn.Dropout(dropout) if dropout else None

    @property
    def filters(self) -> Tensor:
        """The weights that make the channels which a mask may drop: the input of the 3x3 convolution."""
        return self.conv1.weight

    def forward(self, x: Tensor, mask: BlockMask | None = None) -> Tensor:
        """Features [B, 4 planes, H/stride, W/stride]; a mask keeps only a subnet's channels (of conv1) and paths."""
        residual = self._residual(x, mask) if needs_residual(mask) else None
        return F.relu(joined(residual, self.shortcut(x), self.dropout, mask))

    def _residual(self, x: Tensor, mask: BlockMask | None) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h if mask is None else mask.inner(h))))
        return self.bn3(self.conv3(h))


def _projection(in_planes: int, planes: int, stride: int) -> nn.Sequential:
    """The shortcut of a block: nothing, or conv1x1-BN where the shape changes."""
    if stride == 1 and in_planes == planes:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(in_planes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))


Stem = Literal["cifar", "imagenet", "digits", "pooled"]
WIDTHS = (64, 128, 256, 512)


class ResNet(nn.Module):
    """Stem, four stages of blocks with 64 to 512 planes, global average pooling, linear classifier.

    The stem for CIFAR is conv3x3-BN-ReLU, that for ImageNet conv7x7 (stride 2)-BN-ReLU and 3x3 max-pooling (stride 2),
    that for digits conv3x3 (stride 2)-BN-ReLU; a pooled one for CIFAR has the convolution of the first and the pooling
    of the second. Without classes there is no classifier, and the features come out.
    """

    def __init__(
        self,
        depths: Sequence[int],
        classes: int,
        normalise: nn.Module,
        *,
        block: type[ResNetBlock] | type[Bottleneck] = ResNetBlock,
        stem: Stem = "cifar",
        dropout: float = 0.0,
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        """`depths` are the blocks of each stage and `widths` their planes."""
        super().__init__()
        self.normalise = normalise
        width = widths[0]
        self.conv1 = stem_convolution(stem, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, 2, 1) if stem in ("imagenet", "pooled") else nn.Identity()
        for index, (depth, planes) in enumerate(zip(depths, widths, strict=True), 1):
            blocks = []
            for place in range(depth):
                blocks.append(block(width, planes, 2 if place == 0 and index > 1 else 1, dropout))
                width = block.expansion * planes
            self.add_module(f"layer{index}", nn.Sequential(*blocks))
        self.linear = nn.Linear(width, classes) if classes else nn.Identity()
        self.stages, self.width = len(depths), width
        kaiming(self)

    @property
    def blocks(self) -> list[nn.Module]:
        """All residual blocks, from the images to the classifier."""
        stages = (self.get_submodule(f"layer{index}") for index in range(1, self.stages + 1))
        return [block for stage in stages for block in stage.children()]

    def forward(self, x: Tensor, subnet: Subnet | None = None) -> Tensor:
        """Logits [B, classes] of images in [0, 1] (or features [B, width]); with `subnet`, those of what masks keep."""
        h = self.pool(F.relu(self.bn1(self.conv1(self.normalise(x)))))
        for index, block in enumerate(self.blocks):
            h = block(h, None if subnet is None else subnet[index])
        return self.linear(torch.mean(h, dim=(2, 3)))


def stem_convolution(stem: Stem, planes: int) -> nn.Conv2d:
    """The first convolution of a network for 32x32, 224x224 or, halving their size at once, digits of 32x32 pixels."""
    if stem == "imagenet":
        return nn.Conv2d(3, planes, 7, 2, 3, bias=False)
    return nn.Conv2d(3, planes, 3, 2 if stem == "digits" else 1, 1, bias=False)


def kaiming(network: nn.Module) -> None:
    """Draw the weights of all convolutions anew, normal with variance 2 / (planes of the output x area)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> nn.Module:
    """The standardisation of images, or nothing unless both are given."""
    return Normalise(mean, std) if mean is not None and std is not None else nn.Identity()


def resnet(
    classes: int,
    depths: Sequence[int],
    widths: Sequence[int] = WIDTHS,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stem: Stem = "cifar",
) -> ResNet:
    """A ResNet of basic blocks: `depths` of them, of `widths` planes, in each stage.

    Without `mean` and `std` images go in as they are. Raises `UsageError` unless there is a width for every depth.
    """
    check_stages("depths", depths, "widths", widths)
    return ResNet(depths, classes, normalisation(mean, std), stem=stem, widths=widths)


def check_stages(one: str, depths: Sequence[int], other: str, widths: Sequence[int]) -> None:
    """Refuse stages of no blocks or planes, and as many depths as there are no widths; raises `UsageError`."""
    if len(depths) != len(widths) or not depths or min(*depths, *widths) < 1:
        raise UsageError(
            f"{one} = {list(depths)} and {other} = {list(widths)} must each name a number from 1 on a stage."
        )


def resnet18(
    classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stem: Literal["cifar", "pooled"] = "cifar",
) -> ResNet:
    """ResNet-18 for CIFAR: 2 blocks a stage, 11,173,962 parameters at 10 classes.

    Without `mean` and `std` images go in as they are.
    """
    return resnet(classes, [2, 2, 2, 2], mean=mean, std=std, stem=stem)


def resnet34(classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> ResNet:
    """ResNet-34 for CIFAR: 3, 4, 6 and 3 blocks a stage, 21,282,122 parameters at 10 classes."""
    return resnet(classes, [3, 4, 6, 3], mean=mean, std=std)


def resnet50(
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    stem: Literal["cifar", "imagenet"] = "cifar",
    dropout: float = 0.0,
) -> ResNet:
    """ResNet-50: 3, 4, 6 and 3 bottlenecks.

    23,520,842 parameters for CIFAR at 10 classes, 25,557,032 for ImageNet at 1,000.
    """
    return ResNet([3, 4, 6, 3], classes, Normalise(mean, std), block=Bottleneck, stem=stem, dropout=dropout)
