"""The operations and cells of RobNet (Guo, Yang, Xu, Liu and Lin, "When NAS meets robustness", CVPR 2020).

Batch norms in cells have no scale and shift of their own, as in the authors' program (github.com/gmh14/RobNets).
"""

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.models.genotypes import NODES


class FactorisedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2, the second one a pixel further right and below, and batch norm.

    The identity where the resolution halves; each convolution makes half of the channels.
    """

    def __init__(self, in_planes: int, planes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes // 2, 1, 2, bias=False)
        self.conv2 = nn.Conv2d(in_planes, planes - planes // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(planes, affine=False)

    def forward(self, h: Tensor) -> Tensor:
        """Features [B, planes, H/2, W/2] of features [B, in_planes, H, W] of even height and width."""
        h = F.relu(h)
        return self.bn(torch.cat([self.conv1(h), self.conv2(h[:, :, 1:, 1:])], dim=1))


def projection(in_planes: int, planes: int) -> nn.Sequential:
    """ReLU-conv1x1-BN, by which a cell brings an input to its number of channels."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(in_planes, planes, 1, bias=False), nn.BatchNorm2d(planes, affine=False))


def separable(planes: int, stride: int) -> nn.Sequential:
    """Twice ReLU, a 3x3 convolution for each channel alone, a 1x1 convolution and BN; the first one has the stride."""
    parts: list[nn.Module] = []
    for each in (stride, 1):
        parts += [
            nn.ReLU(),
            nn.Conv2d(planes, planes, 3, each, 1, groups=planes, bias=False),
            nn.Conv2d(planes, planes, 1, bias=False),
            nn.BatchNorm2d(planes, affine=False),
        ]
    return nn.Sequential(*parts)


class Edge(nn.Module):
    """The sum of the operations that a code's two bits choose: the identity, then the separable convolution.

    `dropped` are the places of operations that do not run for the moment, in a supernet.
    """

    def __init__(self, code: str, planes: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.dropped: tuple[int, ...] = ()
        identity, convolution = (bit == "1" for bit in code)
        self.operations = nn.ModuleList()
        if identity:
            self.operations.append(nn.Identity() if stride == 1 else FactorisedReduce(planes, planes))
        if convolution:
            self.operations.append(separable(planes, stride))

    def forward(self, h: Tensor) -> Tensor:
        """Features [B, planes, H/stride, W/stride]; zeros if no operation is chosen."""
        chosen = [operation for place, operation in enumerate(self.operations) if place not in self.dropped]
        if not chosen:
            return torch.zeros_like(h[:, :, :: self.stride, :: self.stride])
        return total(operation(h) for operation in chosen)


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors, from left to right."""
    return reduce(torch.add, terms)


class Cell(nn.Module):
    """Four nodes, each the sum of its edges from both inputs and all earlier nodes; their channels side by side.

    Both inputs are first brought to `planes` channels, and that of the cell before the last one to the resolution of
    the other where the last cell halved it. A cell that `reduces` does so on the edges from its inputs.
    """

    def __init__(
        self, codes: Sequence[str], older: int, newer: int, planes: int, *, reduces: bool, after_reduction: bool
    ) -> None:
        """`older` and `newer` are the channels of the inputs, `codes` those of the 14 edges."""
        super().__init__()
        self.older = FactorisedReduce(older, planes) if after_reduction else projection(older, planes)
        self.newer = projection(newer, planes)
        sources = [source for node in range(NODES) for source in range(2 + node)]
        self.edges = nn.ModuleList(
            Edge(code, planes, 2 if reduces and source < 2 else 1) for code, source in zip(codes, sources, strict=True)
        )

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """Features [B, 4 planes, H, W], half as high and wide as `newer` if the cell reduces."""
        states = [self.older(older), self.newer(newer)]
        edges = iter(self.edges)
        for _ in range(NODES):
            states.append(total([next(edges)(state) for state in states]))
        return torch.cat(states[2:], dim=1)
