"""Every corruption beside the package imagecorruptions 1.1.2, with the same random numbers."""

import importlib.util

import numpy as np
import pytest

from rbench.corruptions.tables import CORRUPTIONS, SEVERITIES

if importlib.util.find_spec("imagecorruptions") is None:
    pytest.skip("imagecorruptions is an extra", allow_module_level=True)

from injected import pair, photographs

LARGEST, SHARE = 1, 0.001  # grey levels, and the share of values that may differ
# Layers without a drop: the package divides 0 by 0 there, where ours leave the image as it is.
EMPTY = {(32, "spatter", 1)}


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_both_make_the_same_image(corruption, size):
    severities = SEVERITIES if size == 32 else (1, 5)
    for severity in severities if corruption != "glass_blur" or size == 32 else (1,):
        images = photographs(size, 16 if size == 32 else 1)
        ours, theirs = pair(images, corruption, severity)
        apart = np.abs(ours.astype(int) - theirs)
        if (size, corruption, severity) in EMPTY:
            dry = (ours == images).all(axis=(1, 2, 3))
            assert dry.sum() == (apart.max(axis=(1, 2, 3)) > LARGEST).sum()
            apart = apart[~dry]
        assert apart.max() <= LARGEST
        assert (apart > 0).mean() <= SHARE
        assert (ours != images).any()
