"""Wide residual networks (Zagoruyko and Komodakis, BMVC 2016), built of the same pre-activation blocks."""

from collections.abc import Sequence

from rbench.models.preact_resnet import PreActResNet


def wide_resnet(depth: int, widen: int, classes: int, mean: Sequence[float], std: Sequence[float]) -> PreActResNet:
    """WRN-depth-widen for 32x32 images: (depth - 4)/6 blocks a stage, 16 widen to 64 widen planes, strides 1, 2, 2.

    WRN-28-10 has 36,479,194 parameters and WRN-34-10 46,160,474 at 10 classes; the first block group that the public
    TRADES and AWP model files register but never use is left out.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth = {depth} must be 4 more than a multiple of 6.")
    blocks = (depth - 4) // 6
    stages = [(blocks, 16 * widen, 1), (blocks, 32 * widen, 2), (blocks, 64 * widen, 2)]
    return PreActResNet(stem=16, stages=stages, classes=classes, mean=mean, std=std)
