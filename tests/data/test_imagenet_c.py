import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize

from rbench.catalog import bind
from rbench.data import folders
from rbench.data.arrays import ArrayDataset
from rbench.data.image_files import ImageFiles, Square
from rbench.data.imagenet_c import corrupted_images, imagenet_c, tiny_imagenet_c
from rbench.errors import MissingError, UsageError
from rbench.types import Call

WNIDS = ("n01440764", "n02100735", "n02119789")
# In another order than the folders have, as flat validation images may be.
SAMPLES = [(2, 12), (0, 7), (1, 100), (0, 11), (1, 9), (2, 3)]
SIZE = 8


def stem(number):
    return f"ILSVRC2012_val_{number:08d}"


def save(path, mode="RGB", size=(SIZE, SIZE), suffix_format=None):
    """Write an image whose pixels follow from its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(path.parts[-4:]).encode()))
    channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
    pixels = rng.integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    Image.fromarray(pixels, mode if mode == "RGBA" else None).save(path, format=suffix_format or "JPEG")


def cell(root, corruption, severity):
    for label, number in SAMPLES:
        save(root / corruption / str(severity) / WNIDS[label] / f"{stem(number)}.JPEG")


@pytest.fixture
def clean():
    """A dataset of six image files, which do not exist: only their names matter."""
    files = tuple(Path("val") / f"{stem(number)}.JPEG" for _, number in SAMPLES)
    return ImageFiles("imagenet", 3, files, np.array([label for label, _ in SAMPLES]), Square(SIZE))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """ImageNet-C with fog at severities 1, 2 and 5."""
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    folders._listed.cache_clear()  # damage may come within one tick of the file system's clock
    found = tmp_path / "ImageNet-C"
    for severity in (1, 2, 5):
        cell(found, "fog", severity)
    return found


def fog(clean, **changes):
    options = {"corruption": "fog", "severities": (1, 2, 5), "crop": SIZE, **changes}
    return imagenet_c(clean, 0, **options)


def decoded(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def test_images_are_joined_to_the_samples_by_class_and_stem(clean, root):
    view = pickle.loads(pickle.dumps(fog(clean)))  # noqa: S301 - its own
    assert (view.groups, view.frames, view.against) == ((1, 2, 5), 1, "previous")
    samples = np.array([4, 0, 4, 2])
    for severity in view.groups:
        found = view.images(samples, severity)
        assert (found.dtype, found.shape) == (np.uint8, (4, 1, 3, SIZE, SIZE))
        for image, sample in zip(found[:, 0], samples, strict=True):
            label, number = SAMPLES[sample]
            assert np.array_equal(image, decoded(root / f"fog/{severity}/{WNIDS[label]}/{stem(number)}.JPEG"))


def test_labels_agree_with_those_of_torchvision(clean, root):
    ranks = dict(ImageFolder(root / "fog/1").samples)
    view = fog(clean)
    assert [ranks[str(view.cells[1] / name)] for name in view.names[1]] == clean.labels.tolist()


@pytest.mark.parametrize("group", ["noise", "blur", "weather", "digital", "extra"])
def test_folders_of_the_archives_may_be_kept_for_some_cells(clean, root, group):
    before = fog(clean).digest
    (root / group / "fog").mkdir(parents=True)
    shutil.move(root / "fog/2", root / group / "fog/2")
    after = fog(clean)
    assert after.cells[2] == root / group / "fog/2"
    assert after.digest == before
    shutil.copytree(root / group / "fog/2", root / "fog/2")
    with pytest.raises(MissingError, match=r"fog/2 and .*fog/2 are the same cell\. Remove one"):
        fog(clean)


def test_severities_may_be_named_by_their_constants(clean, root):
    """As the code of ImageNet-C-bar does: `caustic_refraction/2.35`."""
    for constant in ("9.15", "2.35", "10.00", "4.90", "3.20"):
        cell(root.with_name("imagenet_c_bar"), "caustic_refraction", constant)
    view = fog(clean, corruption="caustic_refraction", folder="ImageNet-C-Bar", severities=(1, 2, 3, 4, 5))
    names = [view.cells[severity].name for severity in (1, 2, 3, 4, 5)]
    assert names == ["2.35", "3.20", "4.90", "9.15", "10.00"]
    shutil.rmtree(view.cells[2])  # now nobody can tell which is which
    with pytest.raises(MissingError, match=r"no caustic_refraction/1\. Unpack imagenet_c_bar\.tar\.gz"):
        fog(clean, corruption="caustic_refraction", folder="ImageNet-C-Bar", severities=(1,))


def test_images_of_another_size_are_refused_unless_they_are_to_be_resized(clean, root):
    path = root / "fog/1" / WNIDS[2] / f"{stem(12)}.JPEG"
    save(path, size=(20, 14))
    with pytest.raises(MissingError, match=rf"{path.name} is no intact image of ImageNet-C: it has 20 x 14 pixels"):
        fog(clean).images(np.array([0]), 1)
    with Image.open(path) as image:
        wanted = np.asarray(Compose([Resize(10), CenterCrop(SIZE)])(image)).transpose(2, 0, 1)
    assert np.array_equal(fog(clean, resize=10).images(np.array([0]), 1)[0, 0], wanted)


def test_the_transform_is_told_and_is_part_of_the_digest(clean, root):
    views = [fog(clean), fog(clean, resize=10), fog(clean, resize=10, interpolation="bicubic")]
    assert len({view.digest for view in views}) == 3
    assert views[1].provenance["transform"] == "Resize(10, bilinear), CenterCrop(8)"
    assert views[2].provenance["transform"] == "Resize(10, bicubic), CenterCrop(8)"
    told = {"source": "files", "files": "ImageNet-C", "official": "unknown", "transform": "CenterCrop(8)"}
    assert views[0].provenance == told


def test_the_digest_sees_files_order_and_severities(clean, root):
    base = fog(clean).digest
    assert fog(clean).digest == base
    fewer = fog(clean, severities=(1, 2)).digest
    path = root / "fog/5" / WNIDS[2] / f"{stem(3)}.JPEG"
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    longer = fog(clean).digest
    path.write_bytes(content[:-30] + bytes(byte ^ 1 for byte in content[-30:]))
    edited = fog(clean).digest
    path.write_bytes(content)
    other = ImageFiles("imagenet", 3, clean.files[::-1], clean.labels[::-1], clean.transform)
    assert len({base, fewer, longer, edited, fog(other).digest}) == 5


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_images_get_three_channels_and_transparency_is_dropped(clean, root, mode):
    path = root / "fog/1" / WNIDS[2] / f"{stem(12)}.JPEG"
    save(path, mode, suffix_format="PNG")  # whatever the suffix says
    with Image.open(path) as image:
        assert image.mode == mode
        pixels = np.asarray(image).reshape(SIZE, SIZE, -1)[..., :3]
    wanted = np.broadcast_to(pixels, (SIZE, SIZE, 3)).transpose(2, 0, 1)
    assert np.array_equal(fog(clean).images(np.array([0]), 1)[0, 0], wanted)


@pytest.mark.parametrize("kept", [0, 10, 0.5])
def test_an_image_that_is_cut_short_is_named(clean, root, kept):
    path = root / "fog/1" / WNIDS[2] / f"{stem(12)}.JPEG"
    save(path, size=(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    view = fog(clean, crop=64)
    with pytest.raises(MissingError, match=rf"fog/1/{WNIDS[2]}/{stem(12)}\.JPEG is no intact image of ImageNet-C"):
        view.images(np.array([0]), 1)


def image(root, severity=2):
    return root / "fog" / str(severity) / WNIDS[1] / f"{stem(9)}.JPEG"


DAMAGES = {
    "no severities": (
        lambda r: [shutil.rmtree(r / "fog/1"), shutil.rmtree(r / "fog/5")],
        r"has no fog/1, fog/5\. Unpack weather\.tar of zenodo\.org/records/2235448 \(md5 33ffea4d",
    ),
    "no corruption": (lambda r: shutil.rmtree(r / "fog"), r"has no fog/1, fog/2, fog/5\. Unpack weather\.tar"),
    "no folder": (shutil.rmtree, r"no ImageNet-C in .*weather\.tar of .* \(md5 33ffea4d.*--data-dir or \$RBENCH_DATA"),
    "lost image": (lambda r: image(r).unlink(), rf"fog/2 lacks 1 of the 6 files of imagenet, such as {WNIDS[1]}/"),
    "lost class": (lambda r: shutil.rmtree(image(r).parent), r"fog/2 holds folders of 2 classes, not 3\. Unpack weath"),
    "emptied class": (lambda r: [p.unlink() for p in image(r).parent.iterdir()], r"fog/2 lacks 2 of the 6 files"),
    "extra image": (lambda r: save(image(r).with_name("x.JPEG")), r"fog/2 has 1 files more than the 6 .*n02100735/x"),
    "second suffix": (lambda r: save(image(r).with_suffix(".jpg")), r"fog/2 has 1 files more than the 6 of imagenet"),
    "extra class": (lambda r: save(r / "fog/2/n99999999/x.JPEG"), r"fog/2 holds folders of 4 classes, not 3"),
    "other class": (lambda r: image(r).parent.rename(r / "fog/2/n09999999"), r"fog/2 lacks 4 of the 6 files"),
    "other stem": (lambda r: image(r).rename(image(r).with_stem("cat")), r"fog/2 lacks 1 of .*ILSVRC2012_val_00000009"),
    "empty cell": (lambda r: [shutil.rmtree(r / "fog/2"), (r / "fog/2").mkdir()], r"fog/2 holds folders of 0 classes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_or_too_much_is_named_with_the_remedy(clean, root, damage):
    fog(clean)
    folders._listed.cache_clear()
    break_it, sentence = DAMAGES[damage]
    break_it(root)
    with pytest.raises(MissingError, match=sentence):
        fog(clean)


def test_an_image_that_vanishes_later_is_missing_in_the_digest_and_in_what_is_read(clean, root):
    view = fog(clean)
    image(root).unlink()
    for ask in (lambda: view.digest, lambda: view.images(np.array([4]), 2)):
        with pytest.raises(MissingError, match=r"ILSVRC2012_val_00000009\.JPEG.*Unpack it again"):
            ask()


def test_what_is_not_an_image_does_not_count(clean, root):
    before = fog(clean).digest
    for name in ("fog/1/.DS_Store", f"fog/1/{WNIDS[0]}/Thumbs.db", f"fog/1/{WNIDS[0]}/._x.JPEG", "fog/1/.cache/x.JPEG"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"")
    folders._listed.cache_clear()
    assert fog(clean).digest == before


def test_a_change_in_a_folder_is_noticed_by_its_time(clean, root):
    fog(clean)
    image(root).unlink()
    os.utime(image(root).parent, (1, 1))
    with pytest.raises(MissingError, match="lacks 1 of the 6 files"):
        fog(clean)


def test_a_severity_that_is_none_is_refused(clean, root):
    with pytest.raises(UsageError, match=r"severities = \[6\] must be some of 1, 2, 3, 4, 5, each once"):
        fog(clean, severities=(6,))


def test_a_dataset_that_is_not_made_of_files_is_refused(root):
    with pytest.raises(UsageError, match=r"fog/1 goes with a dataset of image files.*'digits' is none"):
        fog(ArrayDataset("digits", 3, np.zeros((6, 3, 8, 8), np.uint8), np.zeros(6, np.int64)))


@pytest.fixture
def tiny(root):
    """Tiny-ImageNet-C with brightness and frost, of 64 pixels."""
    found = root.with_name("Tiny-ImageNet-C")
    for corruption, severity in [("brightness", 1), ("frost", 3)]:
        for label, number in SAMPLES:
            save(found / corruption / str(severity) / WNIDS[label] / f"test_{number}.JPEG", size=(64, 64))
    return found


def base(**changes):
    return corrupted_images(**{"classes": 3, "each": 2, **changes})


def test_a_cell_can_be_the_dataset_that_others_are_joined_to(tiny):
    data = base()
    assert (data.name, data.classes, data.labels.tolist()) == ("tiny-imagenet", 3, [0, 0, 1, 1, 2, 2])
    assert [path.stem for path in data.files] == [f"test_{number}" for number in (7, 11, 9, 100, 3, 12)]
    view = tiny_imagenet_c(data, 0, corruption="frost", severities=(3,))
    found = view.images(np.array([3]), 3)
    assert found.shape == (1, 1, 3, 64, 64)
    assert np.array_equal(found[0, 0], decoded(tiny / "frost/3" / WNIDS[1] / "test_100.JPEG"))
    assert view.provenance["transform"] == "CenterCrop(64)"


def test_a_suite_can_name_it_as_its_dataset(tiny):
    args = {"folder": "Tiny-ImageNet-C", "corruption": "frost", "severity": 3, "classes": 3, "each": 2}
    assert len(bind(Call("rbench.data.imagenet_c:corrupted_images", args))().files) == 6
    assert base(corruption="frost", severity=3).digest != base().digest


def test_the_thousand_classes_of_the_older_record_are_told_with_the_fixed_copy(tiny):
    save(tiny / "frost/3/n03000000/test_1.JPEG", size=(64, 64))
    sentence = r"frost/3 holds folders of 4 classes, not 3\..*8206060, not 2536630, whose frost has 1,000 classes"
    with pytest.raises(MissingError, match=sentence):
        tiny_imagenet_c(base(), 0, corruption="frost", severities=(3,))
    with pytest.raises(MissingError, match=sentence):
        base(corruption="frost", severity=3)


def test_a_base_must_be_complete(tiny):
    (tiny / "brightness/1" / WNIDS[0] / "test_7.JPEG").unlink()
    with pytest.raises(MissingError, match="5 images instead of 6, 1 instead of 2 of n01440764"):
        base()
    with pytest.raises(MissingError, match=r"has no snow/4\. Unpack Tiny-ImageNet-C\.tar"):
        base(corruption="snow", severity=4)


def test_the_validation_images_of_tiny_imagenet_do_not_fit(tiny):
    files = tuple(Path(f"val_{k}.JPEG") for k in range(6))
    val = ImageFiles("tiny-imagenet", 3, files, np.array([0, 0, 1, 1, 2, 2]), Square(64))
    with pytest.raises(MissingError, match=r"lacks 6 of the 6 files of tiny-imagenet, such as n01440764/val_0"):
        tiny_imagenet_c(val, 0, corruption="frost", severities=(3,))
