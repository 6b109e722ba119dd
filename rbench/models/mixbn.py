"""Batch norms that keep clean and adversarial images apart (MixBN; arXiv 2306.03430, section 4).

What they are told of the images is either how many of the first ones are clean, the others being adversarial, which is
known in training; or the probability [B] that each of them is clean, which is not known but estimated.
"""

import torch
from torch import Tensor, nn

Kinds = Tensor | int | None
"""The probability [B] that each image is clean, how many of the first ones are, or nothing at all."""


class MixBN(nn.Module):
    """Two batch norms, `nat` for clean and `adv` for adversarial images, each with statistics and scales of its own.

    Of known kinds each norm gets its own images and no others; else features are (1 - P) adv(h) + P nat(h), image by
    image. With `mixing = false` adv(h) stands for the mixture, whatever P.
    """

    def __init__(self, planes: int, *, mixing: bool = True) -> None:
        super().__init__()
        self.nat, self.adv = nn.BatchNorm2d(planes), nn.BatchNorm2d(planes)
        self.mixing = mixing

    def forward(self, h: Tensor, kinds: Kinds) -> Tensor:
        """Features [B, planes, H, W], normalised."""
        if isinstance(kinds, int):
            return self._apart(h, kinds)
        if not self.mixing or kinds is None:
            return self.adv(h)
        if self.training:
            return torch.lerp(self.adv(h), self.nat(h), kinds.view(-1, 1, 1, 1).to(h.dtype))
        return self._settled(h, kinds)

    def _settled(self, h: Tensor, clean: Tensor) -> Tensor:
        """The mixture in evaluation, where it is one scale and one shift for each image and channel: one pass of h."""
        p = clean.view(-1, 1).to(self.adv.weight.dtype)
        scale, shift = (
            torch.lerp(adv, nat, p).to(h.dtype)[:, :, None, None]
            for adv, nat in zip(_affine(self.adv), _affine(self.nat), strict=True)
        )
        return torch.addcmul(shift, h, scale)

    def _apart(self, h: Tensor, clean: int) -> Tensor:
        """The first `clean` images by `nat`, the others by `adv`; a norm without images is not asked."""
        if clean in (0, len(h)):
            return self.nat(h) if clean else self.adv(h)
        return torch.cat([self.nat(h[:clean]), self.adv(h[clean:])])


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The scale and the shift [1, planes] of a batch norm in evaluation."""
    state = dict(norm.named_buffers())
    scale = norm.weight / torch.sqrt(state["running_var"] + norm.eps)
    return scale[None], (norm.bias - state["running_mean"] * scale)[None]


class OneBN(nn.BatchNorm2d):
    """One batch norm for all images, whatever their kinds."""

    def forward(self, h: Tensor, kinds: Kinds = None) -> Tensor:  # noqa: ARG002 - the same signature as MixBN's
        """Features [B, planes, H, W], normalised."""
        return super().forward(h)
