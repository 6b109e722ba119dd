"""Random crops of image files, as networks for ImageNet are trained on."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from rbench.data.image_files import Square
from rbench.types import FloatArray

RATIOS = (3 / 4, 4 / 3)  # of a crop's width to its height
TRIES = 10
NUMBERS = 4 * TRIES  # that a crop is made of


def box(width: int, height: int, area: tuple[float, float], uniform: FloatArray) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a random crop, which lies inside an image of `width` x `height`.

    Its share of the image is uniform in `area` and its ratio of the sides log-uniform in (3/4, 4/3); a try that does
    not fit is drawn anew, and after ten of them it is the largest central crop of such a ratio. `uniform` [at least 40]
    holds numbers in [0, 1): share, ratio, top and left of each try. As torchvision's RandomResizedCrop, but for
    rounding; Szegedy et al., "Going deeper with convolutions", CVPR 2015.
    """
    for share, skew, down, right in uniform[:NUMBERS].reshape(TRIES, 4).tolist():
        pixels = width * height * (area[0] + share * (area[1] - area[0]))
        ratio = RATIOS[0] * (RATIOS[1] / RATIOS[0]) ** skew
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    w, h = min(width, round(height * RATIOS[1])), min(height, round(width / RATIOS[0]))
    return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True, kw_only=True)
class Crop(Square):
    """How an image becomes the crop that `box` makes of `area` and `uniform`, scaled to `size` x `size` pixels."""

    area: tuple[float, float]
    uniform: FloatArray

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """The crop of the RGB image as uint8 [3, size, size], scaled (with anti-aliasing) by torchvision."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F

        where = box(image.width, image.height, self.area, self.uniform)
        crop = F.resized_crop(image, *where, [self.size, self.size], InterpolationMode(self.interpolation))
        return np.asarray(crop).transpose(2, 0, 1)
