"""Feature denoising (Xie et al., "Feature denoising for improving adversarial robustness", CVPR 2019)."""

import torch
from torch import Tensor, nn


class Denoise(nn.Module):
    """The features plus a 1x1 convolution and batch norm of their non-local mean.

    The mean at a place is over all places, weighed by softmax(theta(h_i) . phi(h_j) / sqrt(d)) with embeddings of
    d = C/2 channels: the Gaussian version. The scale of the batch norm starts at 0, so that the block starts as the
    identity, and the embeddings small, as in github.com/facebookresearch/ImageNet-Adversarial-Training.
    """

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(planes, planes // 2, 1, bias=False)
        self.phi = nn.Conv2d(planes, planes // 2, 1, bias=False)
        self.conv = nn.Conv2d(planes, planes, 1, bias=False)
        self.bn = nn.BatchNorm2d(planes)
        for embedding in (self.theta, self.phi):
            nn.init.normal_(embedding.weight, std=0.01)
        nn.init.zeros_(self.bn.weight)

    def forward(self, h: Tensor) -> Tensor:
        """Features [B, planes, H, W], of features of that shape; takes memory for [B, HW, HW] weights."""
        theta, phi, places = self.theta(h).flatten(2), self.phi(h).flatten(2), h.flatten(2)
        weights = torch.softmax(theta.transpose(1, 2) @ phi * self.theta.out_channels**-0.5, dim=2)
        mean = (places @ weights.transpose(1, 2)).view_as(h)
        return h + self.bn(self.conv(mean))
