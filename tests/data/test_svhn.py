import hashlib

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

from rbench.data.svhn import svhn
from rbench.errors import MissingError

LABELS = {"train": [1, 10, 9], "test": [10, 5, 10, 2, 1]}


@pytest.fixture
def tiny_svhn(tmp_path, monkeypatch):
    """SVHN in the official file format, a few images a file, with torchvision's digests made to match."""
    rng = np.random.default_rng(0)
    pixels, listed = {}, {}
    for split, labels in LABELS.items():
        pixels[split] = rng.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
        name = f"{split}_32x32.mat"
        savemat(tmp_path / name, {"X": pixels[split], "y": np.array(labels, dtype=np.uint8)[:, None]})
        digest = hashlib.md5((tmp_path / name).read_bytes(), usedforsecurity=False).hexdigest()
        listed[split] = ["http://nowhere.invalid", name, digest]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    return tmp_path, pixels


@pytest.mark.parametrize("split", ["train", "test"])
def test_svhn_is_read_from_the_official_files(tiny_svhn, split):
    data = svhn(split)
    assert (data.name, data.classes, data.labels.dtype, data.pixels.dtype) == ("svhn", 10, np.int64, np.uint8)
    assert data.labels.tolist() == [label % 10 for label in LABELS[split]]
    for index in range(len(LABELS[split])):
        expected = tiny_svhn[1][split][:, :, :, index].transpose(2, 0, 1)
        assert np.array_equal(data.images(np.array([index])), expected[None])


def test_a_missing_or_damaged_svhn_is_one_sentence_with_the_remedy(tiny_svhn, monkeypatch, tmp_path):
    path = tiny_svhn[0] / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MissingError, match=r"no intact SVHN .*--data-dir or \$RBENCH_DATA, or add --download"):
        svhn("test")
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "empty"))
    with pytest.raises(MissingError, match="no intact SVHN"):
        svhn("train")
