"""Attacks: `attack(model, x, y, threat, *, rng, **params) -> x_adv`, one public function a file.

`model` maps images in [0, 1] to logits with frozen parameters, `x` is [B, C, H, W], `y` is [B]; every sample of `x` is
classified correctly. `rng` holds one random stream a sample. What comes back is judged by the referee, never trusted.
"""
