"""The view of a dataset under a corruption."""

import numpy as np
import pytest

import rbench
from rbench.corruptions.corrupt import PART
from rbench.data.arrays import ArrayDataset
from rbench.data.corrupted import generated
from rbench.data.digits import digits
from rbench.errors import UsageError


def test_a_view_holds_what_corrupt_makes_of_each_sample():
    data = digits("test")
    view = generated(data, 5, corruption="gaussian_noise", severities=(2, 4))
    samples = np.array([3, 499, 7])
    made = view.images(samples, 4)
    by_hand = rbench.corrupt(data.pixels[samples], "gaussian_noise", severity=4, seed=5, samples=samples.tolist())
    assert made.shape == (3, 1, 3, 32, 32)
    assert (made[:, 0] == by_hand).all()
    assert (view.groups, view.frames) == ((2, 4), 1)


def test_parts_do_not_show():
    part = PART // (3 * 32 * 32)
    data = digits("test")
    view = generated(data, 0, corruption="spatter")
    whole = view.images(np.arange(part + 20), 3)
    assert (whole[part - 5 : part + 5] == view.images(np.arange(part - 5, part + 5), 3)).all()


def test_provenance_and_digest_tell_views_apart(monkeypatch):
    data = digits("test")
    plain = generated(data, 0, corruption="fog")
    assert plain.provenance == {"source": "generated", "generator": "hendrycks", "table": "by size", "jpeg85": "no"}
    others = [
        generated(data, 0, corruption="snow"),
        generated(data, 0, corruption="fog", severities=(1,)),
        generated(data, 0, corruption="fog", generator="imagecorruptions"),
        generated(data, 0, corruption="fog", table=64),
        generated(data, 0, corruption="fog", jpeg85=True),
    ]
    assert len({view.digest for view in (plain, *others)}) == 6
    assert others[4].provenance["jpeg85"] == "yes"
    assert [view.provenance["table"] for view in others[2:4]] == ["224", "64"]
    monkeypatch.setattr("rbench.corruptions.frost_images._folder", lambda: None)
    frost = generated(data, 0, corruption="frost")
    assert frost.provenance["frost"] == "procedural"
    drawn = frost.digest
    monkeypatch.setattr("rbench.corruptions.frost_images.digest", lambda: "photographs")
    assert frost.digest != drawn


def test_mistakes_are_told_before_anything_is_made():
    data = digits("test")
    for severities in ((), [], (6,), (0, 1), (3, 3), [1, 2, 1]):
        with pytest.raises(UsageError, match=r"severities = \[.*\] must be some of 1, 2, 3, 4, 5, each once"):
            generated(data, 0, corruption="fog", severities=severities)
    with pytest.raises(UsageError, match="one table of its own"):
        generated(data, 0, corruption="fog", generator="imagecorruptions", table=224)
    with pytest.raises(UsageError, match="table = 0"):
        generated(data, 0, corruption="fog", table=0)
    with pytest.raises(UsageError, match="no corruption named 'smog'"):
        generated(data, 0, corruption="smog")
    tiny = ArrayDataset("tiny", 2, np.zeros((4, 3, 16, 16), np.uint8), np.zeros(4, np.int64))
    with pytest.raises(UsageError, match="16 x 16 pixels are too small"):
        generated(tiny, 0, corruption="fog")
