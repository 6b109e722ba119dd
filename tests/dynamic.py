"""Small untrained networks with routers that do something, for tests and as models in a file."""

import torch

from rbench.models.awnet import AWNet, awnet
from rbench.models.separate import SeparateNet, separate_net

ARGS = {"depths": [1, 1], "widths": [4, 8], "router_depths": [1, 1], "router_widths": [4, 8], "stem": "digits"}


def net() -> AWNet:
    """An AW-Net with the same weights each time, and heads that are not zero."""
    torch.manual_seed(0)
    model = awnet(10, **ARGS)
    with torch.no_grad():
        for parameter in model.router.heads.parameters():
            parameter.normal_(0, 0.3)
    return model


def separate() -> SeparateNet:
    """A Separate-Net with the same weights each time."""
    torch.manual_seed(0)
    return separate_net(10, **ARGS)
