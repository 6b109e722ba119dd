"""Swin transformers (Liu et al., ICCV 2021): torchvision's networks as they are."""

from typing import Literal

from torch import nn


def swin(size: Literal["tiny", "small"], classes: int) -> nn.Module:
    """Swin-Tiny or Swin-Small, from images in [0, 1] to logits [B, classes].

    27,527,044 and 48,844,948 parameters at 10 classes. Of 32 pixels patches of 4 make 8x8 tokens, which windows of 7
    pad to 14x14, and three mergers leave one.
    """
    from torchvision import models

    network: nn.Module = (models.swin_t if size == "tiny" else models.swin_s)(num_classes=classes)
    return network
