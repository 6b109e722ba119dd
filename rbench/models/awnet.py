"""AW-Net, whose filters are scaled for each image by a router (Wei, Zhao and Li, arXiv 2306.03430; TPAMI 2024)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbench.errors import UsageError
from rbench.models.mixbn import Kinds, MixBN, OneBN
from rbench.models.resnet import WIDTHS, ResNet, Stem, check_stages, kaiming, normalisation, stem_convolution

Norms = Literal["mixed", "adversarial", "one"]
CLEAN = 1  # the column of the type head that means a clean image: y' of the paper


class Router(nn.Module):
    """A ResNet without classifier, whose features psi [B, d] go to one linear head for each scaled convolution.

    The heads begin at zero, so that all scales begin at 1. Its batch norms are plain ones, since the kind of an image
    is what it is to find.
    """

    def __init__(self, features: ResNet, planes: Sequence[int], *, typed: bool) -> None:
        super().__init__()
        self.features = features
        self.heads = nn.ModuleList(nn.Linear(features.width, count) for count in planes)
        self.kind = nn.Linear(features.width, 2) if typed else None
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, beta: float) -> tuple[Tensor, Tensor | None]:
        """The scales omega = (tanh(W psi + b) + 1)^beta of all filters, [B, F], and the type logits [B, 2], if any."""
        psi = self.features(x)
        signals = torch.cat([head(psi) for head in self.heads], dim=1)
        return (torch.tanh(signals) + 1) ** beta, None if self.kind is None else self.kind(psi)


class DynamicBlock(nn.Module):
    """The block of a ResNet, of which the filters of both 3x3 convolutions are scaled for each image.

    To scale a filter is to scale the channel that it makes, here before its norm.
    """

    def __init__(self, in_planes: int, planes: int, stride: int, norms: Norms) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn1 = norm(planes, norms)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = norm(planes, norms)
        changes = stride != 1 or in_planes != planes
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False) if changes else None
        self.shortcut_bn = norm(planes, norms) if changes else None

    def forward(self, x: Tensor, scales: Sequence[Tensor], kinds: Kinds) -> Tensor:
        """Features [B, planes, H/stride, W/stride] under the scales [B, planes] of both convolutions."""
        h = F.relu(self.bn1(scaled(self.conv1(x), scales[0]), kinds))
        h = self.bn2(scaled(self.conv2(h), scales[1]), kinds)
        if self.shortcut is None or self.shortcut_bn is None:
            return F.relu(h + x)
        return F.relu(h + self.shortcut_bn(self.shortcut(x), kinds))


def scaled(h: Tensor, scale: Tensor) -> Tensor:
    """Features [B, C, H, W], each channel of each image times its scale, [B, C]."""
    return h * scale[:, :, None, None].to(h.dtype)


def norm(planes: int, norms: Norms) -> nn.Module:
    """What stands after a convolution: MixBN, MixBN that evaluates by its adversarial half, or one batch norm."""
    return OneBN(planes) if norms == "one" else MixBN(planes, mixing=norms == "mixed")


class AWNet(nn.Module):
    """A ResNet of dynamic blocks and the router that scales their filters.

    The code of an image is the scales of its filters. Convolutions of the stem and of shortcuts are not scaled.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        classes: int,
        normalise: nn.Module,
        router: ResNet,
        *,
        beta: float,
        norms: Norms,
        stem: Stem,
    ) -> None:
        """`depths` and `widths` are the blocks and planes of each stage; `router` is a ResNet without classifier."""
        super().__init__()
        self.beta, self.normalise = beta, normalise
        self.conv1 = stem_convolution(stem, widths[0])
        self.bn1 = norm(widths[0], norms)
        self.pool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        self.blocks, width = nn.ModuleList(), widths[0]
        for stage, (depth, planes) in enumerate(zip(depths, widths, strict=True)):
            for place in range(depth):
                self.blocks.append(DynamicBlock(width, planes, 2 if place == 0 and stage > 0 else 1, norms))
                width = planes
        self.linear = nn.Linear(width, classes)
        self.filters = [planes for depth, planes in zip(depths, widths, strict=True) for _ in range(2 * depth)]
        kaiming(self)
        self.router = Router(router, self.filters, typed=norms == "mixed")

    def route(self, x: Tensor) -> Tensor:
        """The codes [B, F] of images in [0, 1]: the scale of each filter, from 0 to 2^beta."""
        return self.router(x, self.beta)[0]

    def freeze_route(self, x: Tensor) -> Tensor:
        """The codes that hold the router where images leave it."""
        return self.route(x)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Logits [B, classes] of images in [0, 1], under codes that are given or the router's own."""
        return self.classified(x, self.route(x) if code is None else code, None)

    def classified(self, x: Tensor, scales: Tensor, kinds: Kinds) -> Tensor:
        """Logits [B, classes] under scales [B, F], with norms that are told of the kinds of images."""
        each = scales.split(self.filters, dim=1)
        h = self.pool(F.relu(self.bn1(self.conv1(self.normalise(x)), kinds)))
        for index, block in enumerate(self.blocks):
            h = block(h, each[2 * index : 2 * index + 2], kinds)
        return self.linear(torch.mean(h, dim=(2, 3)))

    def filter_scales(self, x: Tensor) -> dict[str, Tensor]:
        """The scales [B, planes] of filters for images in [0, 1], by the name of their convolution."""
        each = self.router(x, self.beta)[0].split(self.filters, dim=1)
        return {f"blocks.{place // 2}.conv{place % 2 + 1}": scale for place, scale in enumerate(each)}

    def informed(self, views: Sequence[Tensor], clean: Sequence[bool]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits [b, classes] and, of a router that tells them, type logits [b, 2] of each view of known kind.

        All views pass the router together: if its batch norms saw one kind at a time in training, they would take away
        what tells the kinds apart, and not so in evaluation, where statistics are those of all images.
        """
        order = sorted(range(len(views)), key=lambda index: not clean[index])
        x = torch.cat([views[index] for index in order])
        scales, kinds = self.router(x, self.beta)
        first = sum(len(view) for view, known in zip(views, clean, strict=True) if known)
        sizes = [len(views[index]) for index in order]

        def back(rows: Tensor) -> list[Tensor]:
            parts = rows.split(sizes)
            return [parts[order.index(index)] for index in range(len(views))]

        return back(self.classified(x, scales, first)), [] if kinds is None else back(kinds)


class MixedAWNet(AWNet):
    """AW-Net as it is meant: its type head says how likely each image is clean, by which its norms are mixed.

    The code of an image is that probability, followed by the scales of its filters.
    """

    def type_logits(self, x: Tensor) -> Tensor:
        """What the type head makes of images in [0, 1], logits [B, 2]: column 1 is clean, 0 adversarial."""
        return self.router(x, self.beta)[1]

    def route(self, x: Tensor) -> Tensor:
        """The codes [B, 1 + F] of images in [0, 1]: P(clean), then the scale of each filter, from 0 to 2^beta."""
        scales, kinds = self.router(x, self.beta)
        return torch.cat([kinds.softmax(1)[:, CLEAN:], scales], dim=1)

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of images with the norms of clean images forced on, and with those of adversarial ones."""
        scales = super().route(x)
        ones = scales.new_ones(len(x), 1)
        return torch.cat([ones, scales], dim=1), torch.cat([0 * ones, scales], dim=1)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Logits [B, classes] of images in [0, 1], under codes that are given or the router's own."""
        code = self.route(x) if code is None else code
        return self.classified(x, code[:, 1:], code[:, 0])


def awnet(
    classes: int,
    depths: Sequence[int] = (2, 2, 2, 2),
    widths: Sequence[int] = WIDTHS,
    router_depths: Sequence[int] = (2, 2, 2, 2),
    router_widths: Sequence[int] = WIDTHS,
    beta: float = 3.0,
    norms: Norms = "mixed",
    stem: Stem = "cifar",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> AWNet:
    """AW-Net on a ResNet of basic blocks, with a ResNet as router; without `mean` and `std` images go in as they are.

    On ResNet-18, as by default, it has 24,323,340 parameters at 10 classes, on ResNet-34 (AW-Net-L) 36,343,180 (the
    paper prints 26.3 and 38.8 Mi, and no simple head gives both). Table III of the paper is `norms`: `mixed`;
    `adversarial`, which in evaluation uses the norms of adversarial images for all; and `one`, without MixBN. The last
    two have no type head. OURS, since there is no public code: MixBN in stem and shortcuts too, plain batch norms in
    the router, heads with bias that begin at zero. Raises `UsageError` for stages that do not fit, and `beta` <= 0.
    """
    check_stages("depths", depths, "widths", widths)
    check_stages("router_depths", router_depths, "router_widths", router_widths)
    if not beta > 0:
        raise UsageError(f"beta = {beta} must be greater than 0; it is the power of the scales tanh(s) + 1.")
    router = ResNet(router_depths, 0, normalisation(mean, std), stem=stem, widths=router_widths)
    kind = MixedAWNet if norms == "mixed" else AWNet
    return kind(depths, widths, classes, normalisation(mean, std), router, beta=beta, norms=norms, stem=stem)
