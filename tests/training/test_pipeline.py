"""Batches that worker processes make are those that are made here, and image files are cropped on the way."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from rbench.data.arrays import ArrayDataset
from rbench.data.crops import NUMBERS
from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.recipe import Augment, AugMix
from rbench.training.batches import Batch, origins_of
from rbench.training.pipeline import Pipeline, batches
from rbench.training.setting import _held_out

CPU = torch.device("cpu")
ASKED = [(epoch, np.arange(start, start + 5)) for epoch in (0, 1) for start in (0, 5, 10)]


def same(one, two):
    tensors = (*one[:3], *one.mixed), (*two[:3], *two.mixed)
    return all(torch.equal(a, b) for a, b in zip(*tensors, strict=True))


def test_workers_make_the_same_batches_in_the_same_order(plain):
    recipe = replace(plain, augment=Augment(pad=2, policy="cifar10"), augmix=AugMix())
    pipeline = Pipeline(digits("train"), recipe, 3)
    here = list(batches(pipeline, iter(ASKED), 0, CPU))
    there = list(batches(pipeline, iter(ASKED), 1, CPU))
    assert len(here) == len(there) == 6
    assert all(map(same, here, there))
    assert all(isinstance(batch, Batch) for batch in there)
    assert [batch.samples.tolist() for batch in here] == [ids.tolist() for _, ids in ASKED]
    assert not torch.equal(here[0].x, here[3].x)  # the next epoch sees other crops
    assert not torch.equal(here[0].mixed[0], here[0].mixed[1])


def test_cutout_draws_numbers_of_its_own(plain):
    """What else is done to an image is what would be done without."""
    ids = np.arange(20)
    recipe = replace(plain, augment=Augment(pad=2, flip=True, policy="cifar10"))
    whole = Pipeline(digits("train"), recipe, 3)
    cut = Pipeline(digits("train"), replace(recipe, augment=replace(recipe.augment, cutout=16)), 3)
    kept = cut[1, ids].x == whole[1, ids].x
    assert torch.equal(cut[1, ids].x, whole[1, ids].x * kept)
    assert (~kept).any(dim=(1, 2, 3)).all()
    assert not torch.equal(cut[1, ids].x == 0, cut[2, ids].x == 0)


@dataclass(frozen=True)
class Files(ArrayDataset):
    """Stands for image files: a crop is the image, and the numbers that it was asked by are kept."""

    def crops(self, ids, area, uniform):
        self.seen.append((ids.tolist(), area, uniform))
        return self.pixels[ids]


def test_image_files_are_cropped_by_numbers_of_their_own(plain):
    whole = digits("train")
    data = Files("files", 10, whole.pixels[:20], whole.labels[:20])
    data.__dict__["seen"] = []
    pipeline = Pipeline(data, replace(plain, augment=Augment(area=(0.25, 1.0))), 0)
    first, second, later = pipeline[0, np.array([3, 1])], pipeline[0, np.array([1])], pipeline[1, np.array([1])]
    (ids, area, uniform), (_, _, alone), (_, _, other) = data.__dict__["seen"]
    assert (ids, area, uniform.shape) == ([3, 1], (0.25, 1.0), (2, NUMBERS))
    assert np.array_equal(uniform[1], alone[0])
    assert not np.array_equal(uniform[1], other[0])
    assert ((uniform >= 0) & (uniform < 1)).all()
    assert torch.equal(first.x[1], second.x[0])
    assert later.y.tolist() == second.y.tolist()


def test_crops_need_image_files(plain):
    with pytest.raises(UsageError, match=r"augment.area crops image files; 'digits' is none. Choose augment.pad"):
        Pipeline(digits("train"), replace(plain, augment=Augment(area=(0.25, 1.0))), 0)


def test_altered_copies_of_held_out_images_are_never_fitted():
    whole = digits("train")
    data = ArrayDataset("doubled", 10, np.concatenate([whole.pixels] * 2), np.concatenate([whole.labels] * 2))
    plain, _ = _held_out(whole, 97)
    data.__dict__["origins"] = np.tile(np.arange(len(whole.labels)), 2)
    held_out, fitted = _held_out(data, 97)
    assert list(held_out) == list(plain)
    assert not set(origins_of(data)[fitted]) & set(held_out)
    assert len(fitted) == 2 * (len(whole.labels) - 97)
