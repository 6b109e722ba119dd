import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import ImageFolder

from rbench.data import imagenet as module
from rbench.data.imagenet import imagenet
from rbench.errors import MissingError

WNIDS = {1: "n02119789", 2: "n02100735", 3: "n01440764"}  # by ILSVRC2012_ID, which is not the order of the wnids
TRUTH = [3, 1, 1, 2, 3, 2]  # the ids of images 1 to 6


def save(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    low = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    low.resize(size, Image.Resampling.BICUBIC).save(path, format="JPEG")


def devkit(root):
    """The devkit as unpacked: ids of the images, and a hierarchy whose inner nodes follow its leaves."""
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    nodes = [(float(k), wnid, f"class {k}", 0.0) for k, wnid in WNIDS.items()] + [(4.0, "n00001740", "entity", 3.0)]
    synsets = np.array(nodes, dtype=kind)[:, None]
    (root / module.DEVKIT).mkdir(parents=True)
    savemat(root / module.DEVKIT / "meta.mat", {"synsets": synsets})
    (root / module.DEVKIT / module.TRUTH).write_text("".join(f"{k}\n" for k in TRUTH))


@pytest.fixture
def flat(tmp_path, monkeypatch):
    """ImageNet as its archives unpack, of 3 classes with 2 images each."""
    root = tmp_path / "imagenet"
    for k in range(1, 7):
        save(root / f"ILSVRC2012_img_val/ILSVRC2012_val_{k:08d}.JPEG", size=(320 + k, 290) if k % 2 else (280, 400))
    devkit(root)
    monkeypatch.setattr(module, "CLASSES", 3)
    monkeypatch.setattr(module, "EACH", 2)
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    return root


@pytest.fixture
def sorted_(flat):
    """The same images in folders of their classes."""
    for k, label in enumerate(TRUTH, start=1):
        name = f"ILSVRC2012_val_{k:08d}.JPEG"
        (flat / "val" / WNIDS[label]).mkdir(parents=True, exist_ok=True)
        shutil.move(flat / "ILSVRC2012_img_val" / name, flat / "val" / WNIDS[label] / name)
    shutil.rmtree(flat / "ILSVRC2012_img_val")
    shutil.rmtree(flat / "ILSVRC2012_devkit_t12")
    return flat


def numbers(data):
    return [int(path.stem[-8:]) for path in data.files]


def test_folders_are_classes_in_the_order_of_their_wnids(sorted_):
    data = imagenet()
    assert (data.name, data.classes, data.labels.dtype) == ("imagenet", 3, np.int64)
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert numbers(data) == [1, 5, 4, 6, 2, 3]
    expected = ImageFolder(sorted_ / "val").samples
    assert [(str(path), label) for path, label in zip(data.files, data.labels.tolist(), strict=True)] == expected


def test_the_official_archives_are_the_same_dataset(flat, request):
    before = imagenet()
    digest = before.digest
    assert (before.labels.tolist(), numbers(before)) == ([0, 0, 1, 1, 2, 2], [1, 5, 4, 6, 2, 3])
    request.getfixturevalue("sorted_")
    after = imagenet()
    assert after.files != before.files
    assert after.digest == digest


def test_the_data_folder_may_hold_val_itself(sorted_, monkeypatch):
    before = imagenet().digest
    monkeypatch.setenv("RBENCH_DATA", str(sorted_))
    assert imagenet().digest == before


@pytest.mark.parametrize(("interpolation", "how"), [("bilinear", "BILINEAR"), ("bicubic", "BICUBIC")])
def test_the_shorter_side_is_scaled_and_the_centre_cut_out(sorted_, interpolation, how):
    data = imagenet(interpolation=interpolation)
    wide, tall = numbers(data).index(3), numbers(data).index(2)
    images = data.images(np.array([tall, wide]))
    assert (images.dtype, images.shape) == (np.uint8, (2, 3, 224, 224))
    for image, path, size, corner in [
        (images[0], data.files[tall], (256, 365), (16, 70)),  # 280 x 400; (365 - 224) / 2 is rounded to even
        (images[1], data.files[wide], (285, 256), (30, 16)),  # 323 x 290
    ]:
        with Image.open(path) as source:
            scaled = np.asarray(source.resize(size, Image.Resampling[how])).transpose(2, 0, 1)
        assert np.array_equal(image, scaled[:, corner[1] : corner[1] + 224, corner[0] : corner[0] + 224])


def test_the_transform_is_part_of_the_digest(sorted_):
    variants = [imagenet(), imagenet(resize=224), imagenet(crop=192), imagenet(interpolation="bicubic")]
    assert len({data.digest for data in variants}) == 4


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def first(root):
    return root / "ILSVRC2012_img_val/ILSVRC2012_val_00000001.JPEG"


DAMAGES = {
    "no devkit": (lambda r: shutil.rmtree(r / "ILSVRC2012_devkit_t12"), r"is flat.*ILSVRC2012_devkit_t12\.tar\.gz in"),
    "no meta": (lambda r: (r / module.DEVKIT / "meta.mat").unlink(), r"is flat, and there is no .*meta\.mat"),
    "truncated meta": (lambda r: (r / module.DEVKIT / "meta.mat").write_bytes(b"x" * 200), "no intact devkit"),
    "inner node": (lambda r: replaced(r / module.DEVKIT / module.TRUTH, "3", "4"), "no intact devkit: KeyError"),
    "short truth": (lambda r: replaced(r / module.DEVKIT / module.TRUTH, "3\n2\n", "3\n"), "image 6, but .* 5 lines"),
    "lost image": (lambda r: first(r).unlink(), "5 images instead of 6, 1 instead of 2 of n01440764"),
    "other name": (lambda r: first(r).rename(r / "ILSVRC2012_img_val/cat.JPEG"), "other names do not tell the classes"),
    "empty": (lambda r: [p.unlink() for p in (r / "ILSVRC2012_img_val").iterdir()], "holds neither images in folders"),
    "nothing": (shutil.rmtree, r"no ImageNet in .*ILSVRC2012_img_val\.tar and .*--data-dir"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_is_named_with_the_remedy(flat, damage):
    break_it, sentence = DAMAGES[damage]
    break_it(flat)
    with pytest.raises(MissingError, match=sentence):
        imagenet()


def test_a_lost_or_an_extra_class_is_noticed(sorted_):
    shutil.copytree(sorted_ / "val/n01440764", sorted_ / "val/n99999999")
    with pytest.raises(MissingError, match="images of 4 classes, not 3"):
        imagenet()
    shutil.rmtree(sorted_ / "val/n99999999")
    shutil.rmtree(sorted_ / "val/n01440764")
    with pytest.raises(MissingError, match="images of 2 classes, not 3"):
        imagenet()
