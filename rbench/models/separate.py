"""Separate-Net: one network for clean and one for adversarial images (AW-Net, arXiv 2306.03430, table IV)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rbench.models.resnet import WIDTHS, ResNet, Stem, resnet


class SeparateNet(nn.Module):
    """Two networks that share nothing, and a router that says how likely each image is clean.

    The class probabilities are P p_clean(x) + (1 - P) p_robust(x), where P is the router's probability that x is clean:
    the law of total probability. Logits are not mixed, since those of two networks have no common scale: a network
    that is very sure of itself would outvote the other one however small its P. The code of an image is the router's
    type logits rather than P, which is 0 or 1 in single precision where the logits still have gradients.
    """

    def __init__(self, clean: nn.Module, robust: nn.Module, router: ResNet) -> None:
        """`router` is a classifier of two kinds: 1 is clean and 0 adversarial."""
        super().__init__()
        self.clean, self.robust, self.router = clean, robust, router

    def type_logits(self, x: Tensor) -> Tensor:
        """What the router makes of images in [0, 1], logits [B, 2]: column 1 is clean, 0 adversarial."""
        return self.router(x)

    def route(self, x: Tensor) -> Tensor:
        """The codes [B, 2] of images in [0, 1]: their type logits."""
        return self.router(x)

    def freeze_route(self, x: Tensor) -> Tensor:
        """The codes that hold the router where images leave it."""
        return self.route(x)

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The codes by which images are surely clean, so that the first network alone speaks, and surely not."""
        clean, adversarial = x.new_tensor([[-torch.inf, 0], [0, -torch.inf]])
        return clean.expand(len(x), 2), adversarial.expand(len(x), 2)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        """Log probabilities [B, classes] of images in [0, 1], under codes that are given or the router's own."""
        kinds = (self.route(x) if code is None else code).log_softmax(1)
        each = torch.stack([network(x).log_softmax(1) for network in (self.robust, self.clean)], dim=1)
        return (kinds[:, :, None] + each).logsumexp(1)

    def informed(self, views: Sequence[Tensor], clean: Sequence[bool]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits [b, classes] of the network for its kind, and type logits [b, 2], of each view of known kind.

        A network gets the views of its own kind alone, and is not asked where there are none. All views pass the router
        together, as in AW-Net: so its batch norms see both kinds in training, as they do in evaluation.
        """
        parts = {
            known: iter(together(network, [view for view, each in zip(views, clean, strict=True) if each is known]))
            for known, network in ((True, self.clean), (False, self.robust))
        }
        return [next(parts[known]) for known in clean], together(self.router, views)


def together(network: nn.Module, views: Sequence[Tensor]) -> list[Tensor]:
    """What a network makes of each of some views that pass it as one batch."""
    return list(network(torch.cat(list(views))).split([len(view) for view in views])) if views else []


def separate_net(
    classes: int,
    depths: Sequence[int] = (2, 2, 2, 2),
    widths: Sequence[int] = WIDTHS,
    router_depths: Sequence[int] = (2, 2, 2, 2),
    router_widths: Sequence[int] = WIDTHS,
    stem: Stem = "cifar",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> SeparateNet:
    """Two ResNets of basic blocks, with a third as router; without `mean` and `std` images go in as they are.

    The router is AW-Net's, less its signal heads: a ResNet with a linear head for two kinds. Of ResNets-18, as by
    default, there are 33,517,782 parameters at 10 classes, of two ResNets-34 and a router of 18 layers 53,734,102. All
    of this is OURS: the paper's table names the network, and there is no public code. Raises `UsageError` for stages
    that do not fit.
    """
    clean, robust = (resnet(classes, depths, widths, mean, std, stem) for _ in range(2))
    return SeparateNet(clean, robust, resnet(2, router_depths, router_widths, mean, std, stem))
