"""RobNets, networks of searched cells (Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rbench.models.denoise import Denoise
from rbench.models.genotypes import NODES, codes_of
from rbench.models.robnet_cell import Cell

Stem = Literal["cifar", "imagenet", "digits"]


class RobNet(nn.Module):
    """A stem, a row of cells that each read the two before, global average pooling and a linear classifier.

    Cells at a third and at two thirds of the row halve the resolution and double the channels. The stem for CIFAR is
    conv3x3-BN of 3 C channels, which both inputs of the first cell read; that for digits has conv4x4 with stride 4 in
    its place, since a digit of 32 pixels is one of 8 pixels enlarged. That for ImageNet is three convolutions of stride
    2, of which the first cell reads the second and the third, as if a cell that reduces lay between them.
    """

    def __init__(self, codes: Sequence[Sequence[str]], C: int, classes: int, stem: Stem, *, denoise: bool) -> None:
        """`codes` are those of each cell's edges, C the channels of a node in the first cells."""
        super().__init__()
        small, layers = stem != "imagenet", len(codes)
        first = _conv(3, 3 * C, 4, size=4) if stem == "digits" else _conv(3, 3 * C, 1)
        self.stem = first if small else nn.Sequential(_conv(3, C // 2, 2), nn.ReLU(), _conv(C // 2, C, 2))
        self.second = nn.Identity() if small else nn.Sequential(nn.ReLU(), _conv(C, C, 2))
        self.cells, self.after = nn.ModuleList(), nn.ModuleList()
        older = newer = 3 * C if small else C
        planes, reduced = C, not small
        for index, each in enumerate(codes):
            reduces = index in (layers // 3, 2 * layers // 3)
            planes *= 2 if reduces else 1
            self.cells.append(Cell(each, older, newer, planes, reduces=reduces, after_reduction=reduced))
            older, newer, reduced = newer, NODES * planes, reduces
            here = denoise and (reduces or index == layers - 1)
            self.after.append(Denoise(newer) if here else nn.Identity())
        self.classifier = nn.Linear(newer, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images in [0, 1], which go in as they are."""
        older = self.stem(x)
        newer = self.second(older)
        for cell, after in zip(self.cells, self.after, strict=True):
            older, newer = newer, after(cell(older, newer))
        return self.classifier(torch.mean(newer, dim=(2, 3)))


def _conv(in_planes: int, planes: int, stride: int, size: int = 3) -> nn.Sequential:
    """A convolution, 3x3 unless of another size, and BN; one as large as its stride is not padded."""
    padding = 0 if size == stride else size // 2
    return nn.Sequential(nn.Conv2d(in_planes, planes, size, stride, padding, bias=False), nn.BatchNorm2d(planes))


def robnet(
    cells: str | Sequence[str], C: int, layers: int, classes: int, stem: Stem = "cifar", *, denoise: bool = False
) -> RobNet:
    """A RobNet of `layers` cells: a genotype's by its name, one for all ("11 11  11 ..."), or one for each.

    RobNet-large ("large", C = 36, 20 layers) has 6,842,710 parameters at 10 classes and 6,894,640 at 100, RobNet-free
    ("free", likewise) 5,439,790 and 5,491,720, RobNet-large-v2 ("large", C = 64, 33 layers) 33,326,666 and 33,418,916,
    RobNet-large for ImageNet (C = 48, 20 layers) 12,756,448 at 1,000. "small-ours" and "medium-ours" are OURS:
    proposals with the number of parameters that the paper prints, since its own were never released. `denoise` adds
    feature denoising after each cell that reduces and after the last one; the paper combines the two without saying
    where, so that these places are OURS, too. Raises `UsageError` for cells that are none (see
    `rbench.models.genotypes`).
    """
    return RobNet(codes_of(cells, layers), C, classes, stem, denoise=denoise)
