"""Architectures: `nn.Module`s from images in [0, 1], shape [B, C, H, W], to logits [B, K]; normalisation inside."""
