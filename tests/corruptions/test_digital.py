from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rbench.corruptions.digital import jpeg_compression, pixelate, pixelate_variant, stored_as_jpeg
from rbench.corruptions.generators import Generator


def images(count, height, width):
    """Images with smooth areas and some noise, uint8 [B, 3, H, W]."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(count, 3, 5, 6, generator=generator) * 255
    y = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return (y + 8 * torch.randn(y.shape, generator=generator)).clamp(0, 255).byte()


def each(y, function):
    """The images that a function of Pillow's images makes of a batch."""
    made = [np.asarray(function(Image.fromarray(image))) for image in y.permute(0, 2, 3, 1).numpy()]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


def stored(image, **options):
    file = BytesIO()
    image.save(file, "JPEG", **options)
    return Image.open(file)


def resized(factor, up):
    def function(image):
        small = image.resize((int(image.width * factor), int(image.height * factor)), Image.Resampling.BOX)
        return small.resize(image.size, up)

    return function


@pytest.mark.parametrize(("size", "quality"), [(32, 80), (64, 25), (224, 7)])
def test_jpeg_has_the_pixels_of_pillow(size, quality):
    y = images(4, size, size)
    expected = each(y, lambda image: stored(image, quality=quality))
    assert torch.equal(jpeg_compression(y, None, quality), expected)
    assert torch.equal(jpeg_compression(y.float() / 255, None, quality), expected / 255)


def test_files_are_stored_as_the_authors_did():
    y = images(3, 48, 67)
    assert torch.equal(stored_as_jpeg(y), each(y, lambda image: stored(image, quality=85, optimize=True)))


@settings(deadline=None, max_examples=60)
@given(st.integers(32, 300), st.integers(32, 300), st.floats(0.1, 1))
def test_pixelate_has_the_pixels_of_pillow(height, width, factor):
    height = min(height, 2 * width)  # taller ones Pillow reduces in the other order
    y = images(1, height, width)
    for function, up in ((pixelate, Image.Resampling.BOX), (pixelate_variant, Image.Resampling.NEAREST)):
        found = function(y, None, factor)
        assert torch.equal(found, each(y, resized(factor, up)))
        assert torch.equal(function(y.float() / 255, None, factor), found / 255)


@pytest.mark.parametrize(("height", "width", "factor"), [(299, 299, 0.95), (33, 97, 0.8), (65, 128, 0.9)])
def test_pixels_on_the_border_of_a_box_go_where_pillow_has_them(height, width, factor):
    y = images(1, height, width)
    assert torch.equal(pixelate(y, None, factor), each(y, resized(factor, Image.Resampling.BOX)))


def test_the_two_generators_differ_where_a_place_lies_between_two_pixels():
    y = images(1, 299, 299)
    box = Generator("hendrycks")(y, "pixelate", 4, None)
    assert torch.equal(box, each(y, resized(0.25, Image.Resampling.BOX)))
    assert not torch.equal(box, pixelate_variant(y, None, 0.25))


@pytest.mark.parametrize(("severity", "factor"), list(enumerate([0.6, 0.5, 0.4, 0.3, 0.25], start=1)))
def test_imagecorruptions_uses_its_one_table_at_32_pixels(severity, factor):
    y = images(2, 32, 32)
    found = Generator("imagecorruptions")(y, "pixelate", severity, None)
    assert torch.equal(found, each(y, resized(factor, Image.Resampling.NEAREST)))
