import math
import pickle
import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from rbench.catalog import bind
from rbench.data import imagenet_train as module
from rbench.data.crops import NUMBERS as DRAWS
from rbench.data.crops import TRIES, box
from rbench.data.imagenet import imagenet
from rbench.data.imagenet_train import imagenet_train
from rbench.errors import MissingError
from rbench.recipe import Augment, Optimiser, Recipe
from rbench.training.pipeline import Pipeline
from rbench.training.setting import _held_out
from rbench.types import Call

NUMBERS = {"n01440764": [10026, 18, 9], "n02100735": [7, 1000], "n04067472": [3, 2, 1, 10]}
FILES = [f"{wnid}/{wnid}_{k}.JPEG" for wnid, numbers in NUMBERS.items() for k in sorted(numbers)]
SIZES = [(320, 290), (280, 400), (500, 120), (224, 224), (90, 91), (60, 200), (400, 300), (33, 32), (256, 341)]
ORIGINS = {"EDSR": list(range(9)), "CAE": [1, 5, 6]}
RATIO = (3 / 4, 4 / 3)


def save(path, size):
    """Write a JPEG whose pixels follow from its folders and its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode()))
    low = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    low.resize(size, Image.Resampling.BICUBIC).save(path, format="JPEG")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """ImageNet as its archives unpack, of 3 classes with 9 images, and two trees of copies, the second incomplete."""
    for file, size in zip(FILES, SIZES, strict=True):
        save(tmp_path / "imagenet/train" / file, size)
    for name, origins in ORIGINS.items():
        for k in origins:
            save(tmp_path / name / FILES[k], (128, 96))
    monkeypatch.setattr(module, "CLASSES", 3)
    monkeypatch.setattr(module, "IMAGES", 9)
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    return tmp_path


def draws(count, seed=0):
    return np.random.default_rng(seed).random((count, DRAWS))


def paths(data):
    return [data.folders[k] / file for k, file in zip(data.within, data.files, strict=True)]


def test_images_come_by_class_and_number_with_the_ranks_of_their_wnids(root):
    data = imagenet_train("train")
    assert (data.name, data.classes, data.labels.dtype, data.names) == ("imagenet", 3, np.int64, tuple(NUMBERS))
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert paths(data) == [root / "imagenet/train" / file for file in FILES]
    expected = ImageFolder(root / "imagenet/train").samples
    assert sorted(zip(map(str, paths(data)), data.labels.tolist(), strict=True)) == sorted(expected)
    assert (data.origins.dtype, data.origins.tolist()) == (np.int64, list(range(9)))


def test_copies_follow_with_the_label_of_their_original(root):
    data = imagenet_train("train", copies=("EDSR", "CAE"))
    assert (data.origins.dtype, data.origins.tolist()) == (np.int64, [*range(9), *ORIGINS["EDSR"], *ORIGINS["CAE"]])
    assert data.labels.tolist() == imagenet_train("train").labels[data.origins].tolist()
    assert paths(data)[9:] == [root / name / FILES[k] for name, origins in ORIGINS.items() for k in origins]
    assert imagenet_train("train", copies=("CAE",)).origins.tolist() == [*range(9), *ORIGINS["CAE"]]


def test_a_recipe_names_the_copies_in_a_list(root):
    call = Call("rbench.data.imagenet_train:imagenet_train", {"copies": ["CAE"], "size": 32, "resize": 40})
    data = bind(call, given=["split"])(split="train")
    assert data.images(np.array([0, 11])).shape == (2, 3, 32, 32)


def test_a_copy_may_have_another_suffix(root):
    path = root / "CAE" / FILES[5]
    path.rename(path.with_suffix(".png"))
    assert imagenet_train("train", copies=("CAE",)).origins[9:].tolist() == ORIGINS["CAE"]


@pytest.mark.parametrize("place", ["imagenet", "DeepAugment"])
def test_copies_may_lie_beside_the_images_or_in_a_folder_of_their_own(root, place):
    digest = imagenet_train("train", copies=("CAE",)).digest
    (root / place).mkdir(exist_ok=True)
    shutil.move(root / "CAE", root / place / "CAE")
    after = imagenet_train("train", copies=("CAE",))
    assert after.folders[1] == root / place / "CAE"
    assert after.digest == digest


@pytest.mark.parametrize("place", ["imagenet/ILSVRC2012_img_train", "ILSVRC2012/train", "ILSVRC2012_img_train"])
def test_the_images_may_lie_where_the_validation_images_do(root, place):
    digest = imagenet_train("train").digest
    (root / place).parent.mkdir(exist_ok=True)
    shutil.move(root / "imagenet/train", root / place)
    assert imagenet_train("train").digest == digest


TRAIN = "imagenet/train"
DAMAGES = {
    "nothing": (lambda r: shutil.rmtree(r / TRAIN), r"no training images .*ILSVRC2012_img_train\.tar .*--data-dir"),
    "lost class": (lambda r: shutil.rmtree(r / TRAIN / "n02100735"), r"folders of 2 classes, not 3\. Unpack"),
    "extra class": (lambda r: (r / TRAIN / "n99999999").mkdir(), r"folders of 4 classes, not 3\. Unpack"),
    "empty class": (lambda r: [p.unlink() for p in (r / TRAIN / "n02100735").iterdir()],
                    r"holds no images of 1 classes, such as n02100735\. Unpack"),
    "archives": (lambda r: [shutil.rmtree(p) for p in (r / TRAIN).iterdir()], r"of 0 classes, .*each <wnid>\.tar"),
    "lost image": (lambda r: (r / TRAIN / FILES[3]).unlink(), r"8 images instead of 9\. Unpack"),
    "extra image": (lambda r: save(r / TRAIN / "n02100735/x.JPEG", (9, 9)), r"10 images instead of 9\. Unpack"),
    "no copies": (lambda r: shutil.rmtree(r / "CAE"),
                  r"no copies 'CAE' .*none of CAE, imagenet/CAE, DeepAugment/CAE\. .*github\.com/hendrycks/imagenet-r"),
    "empty copies": (lambda r: [shutil.rmtree(p) for p in (r / "CAE").iterdir()],
                     r"CAE holds no images in .*github\.com/hendrycks/imagenet-r"),
    "strange copy": (lambda r: save(r / "CAE/n02100735/n02100735_8.JPEG", (9, 9)),
                     r"CAE has 1 files .*no training image, such as n02100735/n02100735_8\.JPEG\. Remove them"),
    "other class": (lambda r: save(r / "CAE/n02100735/n01440764_18.JPEG", (9, 9)),
                    r"no training image, such as n02100735/n01440764_18\.JPEG\. .*github\.com/hendrycks/imagenet-r"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_is_named_with_the_remedy(root, damage):
    break_it, sentence = DAMAGES[damage]
    break_it(root)
    with pytest.raises(MissingError, match=sentence):
        imagenet_train("train", copies=("EDSR", "CAE"))


def test_a_broken_file_is_named(root):
    data = imagenet_train("train", copies=("CAE",))
    path = root / "CAE" / FILES[1]
    path.write_bytes(path.read_bytes()[:300])
    for read in (data.images, lambda ids: data.crops(ids, (0.5, 1.0), draws(len(ids)))):
        assert read(np.arange(9)).shape == (9, 3, 224, 224)
        with pytest.raises(MissingError, match=r"CAE.*_18\.JPEG is no intact image of imagenet: .*Unpack it again"):
            read(np.array([0, 9]))


def test_images_are_cut_out_as_for_validation(root, monkeypatch):
    shutil.copytree(root / "imagenet/train", root / "imagenet/val")
    monkeypatch.setattr("rbench.data.imagenet.CLASSES", 3)
    monkeypatch.setattr("rbench.data.imagenet.complete", lambda *_: None)
    ids = np.array([8, 0, 1])
    for how in ("bilinear", "bicubic"):
        images = imagenet_train("train", (), 128, 160, how).images(ids)
        assert np.array_equal(images, imagenet("val", 160, 128, how).images(ids))


def test_the_digest_sees_transform_copies_their_order_and_every_size(root):
    def digest(*copies, **options):
        return imagenet_train("train", copies, **options).digest

    digests = [digest(), digest("EDSR"), digest("EDSR", "CAE"), digest("CAE", "EDSR"), digest(resize=255)]
    with (root / "EDSR" / FILES[4]).open("ab") as file:
        file.write(b"\0")
    digests += [digest("EDSR"), digest(size=192), digest(interpolation="bicubic")]
    assert len(set(digests)) == 8
    assert digest() == digests[0]


def test_a_file_lost_after_listing_is_no_traceback(root):
    data = imagenet_train("train")
    (root / TRAIN / FILES[0]).unlink()
    with pytest.raises(MissingError, match="imagenet is not intact"):
        _ = data.digest


class Ordered:
    """The part of torch that RandomResizedCrop draws from, in float64, fed with the numbers of `box`."""

    tensor = staticmethod(lambda values: torch.tensor(values, dtype=torch.float64))
    log, exp = torch.log, torch.exp

    def __init__(self, uniform):
        self.tries, self.rest = iter(uniform[:40].reshape(10, 4).tolist()), []

    def empty(self, _):
        self.rest = self.rest if len(self.rest) % 2 else next(self.tries)  # the last try did not fit: the next one
        return SimpleNamespace(uniform_=self._between)

    def _between(self, low, high):
        drawn, *self.rest = self.rest
        return torch.as_tensor(low + (high - low) * drawn, dtype=torch.float64)

    def randint(self, low, high, **_):
        drawn, *self.rest = self.rest
        return torch.tensor([low + int(drawn * (high - low))])


def torchvisions(image, area, uniform):
    """The box of torchvision's RandomResizedCrop, given the same numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transforms.transforms, "torch", Ordered(uniform))
        return transforms.RandomResizedCrop.get_params(image, area, RATIO)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_crops_are_those_of_torchvision(root, how):
    data = imagenet_train("train", copies=("EDSR",), size=48, resize=56, interpolation=how)
    ids, uniform, area = np.array([17, 2, 5, 0, 2, 7]), draws(6), (0.08, 1.0)
    crops = data.crops(ids, area, uniform)
    assert (crops.dtype, crops.shape) == (np.uint8, (6, 3, 48, 48))
    for crop, k, row in zip(crops, ids, uniform, strict=True):
        with Image.open(paths(data)[k]) as image:
            top, left, height, width = torchvisions(image, area, row)
            cut = image.crop((left, top, left + width, top + height))
            scaled = cut.resize((48, 48), Image.Resampling[how.upper()])
        assert np.array_equal(crop, np.asarray(scaled).transpose(2, 0, 1))


SIDES = st.integers(1, 700)
UNIT = st.floats(0, 1, exclude_max=True)
ROWS = st.lists(UNIT, min_size=DRAWS, max_size=DRAWS).map(np.array) | st.integers(0, 2**31).map(
    lambda k: draws(1, k)[0]
)
AREAS = st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).map(lambda pair: tuple(sorted(pair)))


@settings(deadline=None, max_examples=300)
@given(width=SIDES, height=SIDES, area=AREAS, seed=st.integers(0, 2**31))
def test_boxes_are_those_of_torchvision(width, height, area, seed):
    uniform = draws(1, seed)[0]
    assert box(width, height, area, uniform) == torchvisions(Image.new("L", (width, height)), area, uniform)


@given(width=SIDES, height=SIDES, area=AREAS, uniform=ROWS)
def test_a_box_lies_inside_the_image_and_has_an_allowed_ratio(width, height, area, uniform):
    top, left, h, w = box(width, height, area, uniform)
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert h >= 1
    assert w >= 1
    assert (w - 0.5) / (h + 0.5) <= RATIO[1] + 1e-9
    assert (w + 0.5) / (h - 0.5) >= RATIO[0] - 1e-9


@given(width=st.integers(20, 700), height=st.integers(20, 700), shares=st.tuples(UNIT, UNIT), uniform=ROWS)
def test_a_box_has_an_allowed_share_of_the_image(width, height, shares, uniform):
    # No try of such a share can fail: not even the widest or the tallest one leaves the image.
    area = tuple(0.02 + sorted(shares)[k] * (0.75 * min(width / height, height / width) - 0.02) for k in (0, 1))
    _, _, h, w = box(width, height, area, uniform)
    assert (w - 0.5) * (h - 0.5) <= area[1] * width * height + 1e-6
    assert (w + 0.5) * (h + 0.5) >= area[0] * width * height - 1e-6


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 100), (0, 83, 100, 133)),  # 100 * 4/3
        ((100, 300), (83, 0, 133, 100)),
        ((120, 100), (0, 0, 100, 120)),  # an allowed ratio: the whole image
        ((1, 2), (0, 0, 1, 1)),
    ],
)
def test_what_never_fits_becomes_the_central_crop(size, expected):
    uniform = np.full(DRAWS, 0.9)  # of the whole area, much wider than tall; of 120 x 100 pixels, 123 x 98
    assert box(*size, (1.0, 1.0), uniform) == expected


def test_a_try_that_does_not_fit_is_drawn_anew():
    uniform = np.full((TRIES, 4), 0.999)
    uniform[4] = [0.0, 0.5, 0.25, 0.75]  # a quarter of the area, square
    assert box(100, 100, (0.25, 1.0), np.append(uniform.ravel(), [0, 0])) == (12, 38, 50, 50)


def test_positions_reach_both_ends():
    for drawn, expected in [(0.0, 0), (1 - 2.0**-53, 50)]:
        assert box(100, 100, (0.25, 0.25), np.array([0.5, 0.5, drawn, drawn] * 10))[:2] == (expected, expected)


def test_shares_and_log_ratios_are_uniform():
    shares, ratios = [], []
    for row in draws(4000):
        _, _, h, w = box(3000, 3000, (0.1, 0.5), row)  # such a crop always fits
        shares.append(h * w / 9e6)
        ratios.append(math.log(w / h) / math.log(RATIO[1]))
    for drawn, low, high in [(shares, 0.1, 0.5), (ratios, -1, 1)]:
        counts, _ = np.histogram(drawn, bins=8, range=(low - 1e-3, high + 1e-3))
        assert abs(counts / 500 - 1).max() < 0.2  # four standard deviations


def test_a_crop_depends_on_neither_its_batch_nor_the_time(root):
    data = imagenet_train("train", copies=("CAE",), size=32)
    ids, uniform = np.array([3, 11, 0, 6]), draws(4)
    whole = data.crops(ids, (0.3, 0.9), uniform)
    assert np.array_equal(data.crops(ids, (0.3, 0.9), uniform), whole)
    for k in range(4):
        assert np.array_equal(data.crops(ids[[k]], (0.3, 0.9), uniform[[k]])[0], whole[k])
    uniform[:, 40:] = 0.5
    assert np.array_equal(data.crops(ids, (0.3, 0.9), uniform), whole)


def test_pickled_images_are_the_same_and_share_the_names_of_copies(root):
    data = imagenet_train("train", copies=("EDSR", "CAE"), size=32)
    data.digest  # noqa: B018 - so that it is kept
    other = pickle.loads(pickle.dumps(data))  # noqa: S301 - its own
    assert (other.digest, other.files) == (data.digest, data.files)
    ids, uniform = np.array([20, 4]), draws(2)
    assert np.array_equal(other.images(ids), data.images(ids))
    assert np.array_equal(other.crops(ids, (0.1, 0.5), uniform), data.crops(ids, (0.1, 0.5), uniform))
    for each in (data, other):
        assert each.files[9 + 4] is each.files[4]


def test_the_pipeline_crops_anew_in_every_epoch(root):
    name = Call("rbench.data.imagenet_train:imagenet_train")
    recipe = Recipe("x", name, name, 2, 4, 1, Optimiser(0.1), augment=Augment(area=(0.08, 1.0)))
    data = imagenet_train("train", copies=("CAE",), size=16)
    pipeline, ids = Pipeline(data, recipe, seed=0), np.array([2, 10])
    batch = pipeline[0, ids]
    assert (batch.x.shape, batch.y.tolist(), batch.samples.tolist()) == ((2, 3, 16, 16), [0, 2], [2, 10])
    assert torch.equal(pickle.loads(pickle.dumps(pipeline))[0, ids[1:]].x, batch.x[1:])  # noqa: S301 - its own
    assert not torch.equal(pipeline[1, ids].x, batch.x)
    everything = replace(recipe, augment=Augment(area=(1.0, 1.0)))
    assert Pipeline(data, everything, seed=0)[0, ids].x.shape == (2, 3, 16, 16)


@dataclass
class Fake:
    labels: np.ndarray
    origins: np.ndarray


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=40), data=st.data())
def test_no_copy_of_a_held_out_image_is_ever_fitted(labels, data):
    originals = np.arange(len(labels))
    origins = np.array([*originals, *data.draw(st.lists(st.sampled_from(originals.tolist()), max_size=90))])
    count = data.draw(st.integers(1, len(labels) - 1))
    held_out, fitted = _held_out(Fake(np.array(labels)[origins], origins), count)
    assert len(set(held_out)) == len(held_out) == count
    assert set(held_out) <= set(originals)
    assert not set(origins[fitted]) & set(held_out)
    assert sorted(fitted) == [k for k in range(len(origins)) if origins[k] not in held_out]
    plain, _ = _held_out(Fake(np.array(labels), originals), count)
    assert held_out.tolist() == plain.tolist()


def test_copies_of_held_out_images_are_not_fitted(root):
    data = imagenet_train("train", copies=("EDSR", "CAE"))
    held_out, fitted = _held_out(data, 3)
    assert data.labels[held_out].tolist() == [0, 1, 2]
    assert not {data.files[k] for k in fitted} & {data.files[k] for k in held_out}
