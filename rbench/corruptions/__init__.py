"""The 19 common corruptions and the 14 perturbation sequences as batched functions of torch tensors.

A corruption is `name(x, rng, *parameters) -> x`, where x is float32 in [0, 1], [B, 3, H, W], a multiple of 1/255. The
caller clips what comes back and truncates it to bytes, as the authors' code does. `rng` answers random requests in a
fixed order that the docstring gives, so that tests can inject the numbers.
"""
