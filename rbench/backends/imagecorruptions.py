"""The package imagecorruptions 1.1.2 (Bethge lab, 2020), mended at run time for today's NumPy and scikit-image.

Nothing here makes images for an evaluation. It is the reference that the corruptions of this package are held against:
`corrupt` is the package's own, and `answering` makes its random requests get the numbers that ours got.
"""

import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from rbench.errors import UsageError


@lru_cache(maxsize=1)
def package() -> types.ModuleType:
    """The module imagecorruptions.corruptions, mended; raises `UsageError` if the package is not installed."""
    import scipy.ndimage

    # The module of this name is on its way out of scipy; what the package wants of it has moved up.
    sys.modules.setdefault("scipy.ndimage.interpolation", scipy.ndimage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from imagecorruptions import corruptions
    except ImportError as error:
        raise UsageError(
            f"imagecorruptions cannot be imported ({error}): pip install 'rbench[imagecorruptions]'"
        ) from error
    corruptions.np = _numpy()
    corruptions.gaussian = _gaussian(corruptions.gaussian)
    return corruptions


def _numpy() -> types.ModuleType:
    """NumPy with the name that version 2 dropped, for that package alone."""
    old = types.ModuleType("numpy")
    old.__dict__.update({**np.__dict__, "float_": np.float64})
    return old


def _gaussian(now: Any) -> Any:
    """scikit-image's Gaussian filter with the argument that it has renamed."""

    def gaussian(image: Any, *args: Any, multichannel: bool = False, **options: Any) -> Any:
        return now(image, *args, channel_axis=-1 if multichannel else None, **options)

    return gaussian


def corrupt(image: npt.NDArray[np.uint8], corruption: str, severity: int) -> npt.NDArray[np.uint8]:
    """The package's corruption of one image, uint8 [H, W, 3]; random by NumPy's global generator."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(getattr(package(), corruption)(Image.fromarray(image), severity)).astype(np.uint8)


@contextmanager
def answering(normal: Any, uniform: Any, integers: Any, poisson: Any, noise: Any) -> Iterator[None]:
    """Have the package's requests answered by functions in the places of NumPy's and scikit-image's own, for a while.

    They are called as numpy.random.normal, uniform, randint and poisson and skimage.util.random_noise would be.
    """
    module = package()
    random = types.SimpleNamespace(normal=normal, uniform=uniform, randint=integers, poisson=poisson)
    skimage = types.SimpleNamespace(
        util=types.SimpleNamespace(random_noise=noise), color=module.sk.color, filters=module.sk.filters
    )
    with mock.patch.object(module.np, "random", random), mock.patch.object(module, "sk", skimage):
        yield
