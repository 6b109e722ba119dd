"""What every corruption promises, whichever it is: shape, type, independence of company, seeds, errors."""

import numpy as np
import pytest
import torch

import rbench
from rbench.corruptions.generators import FUNCTIONS, Generator
from rbench.corruptions.tables import COMMON, CORRUPTIONS, EXTRA, GROUPS, PARAMETERS, TABLES
from rbench.errors import UsageError

RANDOM = {
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur", "snow", "frost",
    "fog", "elastic_transform", "spatter",
}  # fmt: skip


@pytest.fixture(scope="module")
def images():
    """Smooth coloured images with an edge, uint8 [6, 3, 32, 32]."""
    rng = np.random.Generator(np.random.PCG64(0))
    coarse = torch.from_numpy(rng.uniform(size=(6, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)
    smooth[:, :, 10:20, 12:18] = torch.from_numpy(rng.uniform(size=(6, 3, 1, 1)))
    return (smooth * 255).to(torch.uint8).numpy()


@pytest.fixture(autouse=True)
def _drawn_frost(monkeypatch):
    """The same frost wherever the tests run."""
    monkeypatch.setattr("rbench.corruptions.frost_images._folder", lambda: None)


@pytest.mark.parametrize("generator", ["hendrycks", "imagecorruptions"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_an_image_depends_on_seed_number_corruption_and_severity_alone(corruption, generator, images):
    def made(x, samples=None, seed=0, severity=3):
        return rbench.corrupt(x, corruption, severity=severity, seed=seed, samples=samples, generator=generator)

    whole = made(images)
    assert whole.shape == images.shape
    assert whole.dtype == np.uint8
    assert (made(images) == whole).all()
    for rows in ([3], [4, 1], [5, 0, 2]):
        assert (made(images[rows], rows) == whole[rows]).all()
    same = (made(images, seed=1) == whole).all()
    assert same == (corruption not in RANDOM)
    assert (made(images, severity=4) != whole).any()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_severity_changes_images_and_the_last_one_more_than_the_first(corruption, images):
    moved = [
        np.abs(rbench.corrupt(images, corruption, severity=severity).astype(int) - images).mean()
        for severity in (1, 2, 3, 4, 5)
    ]
    assert min(moved) > 0
    assert moved[4] > moved[0] or corruption in ("elastic_transform", "saturate", "spatter")


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_types_and_channels_come_back(corruption, images):
    bytes_out = rbench.corrupt(torch.from_numpy(images), corruption, severity=2)
    assert isinstance(bytes_out, torch.Tensor)
    floats = torch.from_numpy(images).double() / 255
    out = rbench.corrupt(floats, corruption, severity=2)
    assert out.dtype == torch.float64
    assert torch.equal((out * 255).round().to(torch.uint8), bytes_out)
    grey = rbench.corrupt(images[:, :1], corruption, severity=2)
    assert grey.shape == images.shape
    assert (grey == rbench.corrupt(images[:, :1].repeat(3, axis=1), corruption, severity=2)).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_rectangles_keep_their_shape(corruption, images):
    wide = np.concatenate([images, images[:, :, :, :9]], axis=3)
    assert rbench.corrupt(wide, corruption, severity=3).shape == wide.shape
    tall = wide.transpose(0, 1, 3, 2)
    assert rbench.corrupt(tall, corruption, severity=3).shape == tall.shape


@pytest.mark.parametrize(("height", "width"), [(37, 41), (67, 95)])
@pytest.mark.parametrize("generator", ["hendrycks", "imagecorruptions"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_odd_rectangles_do_not_depend_on_their_company(corruption, generator, height, width):
    x = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (16, 3, height, width), dtype=np.uint8)
    options = {"generator": generator} | ({"table": 32 if height < 64 else 64} if generator == "hendrycks" else {})
    whole = rbench.corrupt(x, corruption, severity=5, **options)
    alone = [rbench.corrupt(x[[k]], corruption, severity=5, samples=[k], **options) for k in range(len(x))]
    assert (whole == np.concatenate(alone)).all()


def test_jpeg85_stores_what_was_made(images):
    from io import BytesIO

    from PIL import Image

    made = rbench.corrupt(images, "gaussian_noise", severity=3)
    stored = rbench.corrupt(images, "gaussian_noise", severity=3, jpeg85=True)
    for before, after in zip(made, stored, strict=True):
        sink = BytesIO()
        Image.fromarray(before.transpose(1, 2, 0)).save(sink, "JPEG", quality=85, optimize=True)
        assert (np.asarray(Image.open(sink)).transpose(2, 0, 1) == after).all()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"severity": 0}, "severity = 0 must be one of 1, 2, 3, 4, 5"),
        ({"severity": 6}, "severity = 6"),
        ({"corruption": "fogg"}, "Did you mean 'fog'"),
        ({"generator": "hendriks"}, "Did you mean 'hendrycks'"),
        ({"images": np.zeros((2, 3, 31, 40), np.uint8)}, "31 x 40 pixels are too small"),
        ({"images": np.zeros((2, 3, 48, 48), np.uint8)}, "no constants for images of 48 x 48 pixels"),
        ({"table": 0}, "table = 0: there are constants for 32, 64, 224, 299 pixels only"),
        ({"table": 48}, "table = 48: there are constants"),
        ({"generator": "imagecorruptions", "table": 32}, "table = 32: imagecorruptions has one table of its own"),
        ({"images": np.zeros((2, 4, 32, 32), np.uint8)}, "no batch"),
        ({"images": np.zeros((3, 32, 32), np.uint8)}, "no batch"),
        ({"images": np.zeros((0, 3, 32, 32), np.uint8)}, "no batch"),
        ({"images": np.full((1, 3, 32, 32), 2.0)}, r"\[2, 2\], not in \[0, 1\]"),
        ({"images": np.zeros((1, 3, 32, 32), np.int64)}, "int64"),
        ({"samples": [1]}, "1 numbers for 6 images"),
    ],
)
def test_mistakes_are_explained(changes, complaint, images):
    wanted = {"images": images, "corruption": "fog", "severity": 3, **changes}
    with pytest.raises(UsageError, match=complaint):
        rbench.corrupt(wanted.pop("images"), wanted.pop("corruption"), **wanted)


def test_a_table_can_be_named_for_other_sizes():
    x = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (1, 3, 48, 48), dtype=np.uint8)
    assert rbench.corrupt(x, "contrast", severity=3, table=64).shape == x.shape


def test_the_tables_name_the_same_corruptions():
    assert len(COMMON) == 15
    assert len(EXTRA) == 4
    assert set(CORRUPTIONS) == set(FUNCTIONS) == set(PARAMETERS)
    assert [name for names in GROUPS.values() for name in names] == list(CORRUPTIONS)
    for table in TABLES.values():
        assert set(table) == set(CORRUPTIONS)
        for name, rows in table.items():
            assert [len(row) for row in rows] == [len(PARAMETERS[name])] * 5


def test_the_two_generators_are_not_one():
    x = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)
    differ = {
        name
        for name in CORRUPTIONS
        if (
            rbench.corrupt(x, name, severity=2) != rbench.corrupt(x, name, severity=2, generator="imagecorruptions")
        ).any()
    }
    assert differ == {"elastic_transform", "frost", "motion_blur", "snow"}


def test_streams_differ_between_corruptions_severities_and_seeds():
    from rbench.corruptions.corrupt import stream

    numbers = torch.arange(2)
    drawn = {
        (seed, name, severity): stream(seed, name, severity, numbers).uniform((4,)).numpy().tobytes()
        for seed in (0, 1)
        for name in ("fog", "snow")
        for severity in (1, 2)
    }
    assert len(set(drawn.values())) == 8


def test_a_generator_is_given_any_layout(images):
    turned = torch.from_numpy(images).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    from rbench.corruptions.corrupt import stream

    made = [
        Generator()(x, "zoom_blur", 3, stream(0, "zoom_blur", 3, torch.arange(6)))
        for x in (turned, torch.from_numpy(images))
    ]
    assert torch.equal(*made)
