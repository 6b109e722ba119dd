"""A small untrained AW-Net whose router does something, for tests and as a model in a file."""

import torch

from rbench.models.awnet import AWNet, awnet


def net() -> AWNet:
    """The same weights each time, with heads that are not zero."""
    torch.manual_seed(0)
    model = awnet(10, [1, 1], [4, 8], [1, 1], [4, 8], stem="digits")
    with torch.no_grad():
        for parameter in model.router.heads.parameters():
            parameter.normal_(0, 0.3)
    return model
