import hashlib
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torchvision import datasets

import rbench
from rbench.catalog import bind
from rbench.data.arrays import ArrayDataset
from rbench.data.cifar import cifar10, cifar100
from rbench.data.digits import DIGESTS, _digits, digits, split_indices
from rbench.errors import MissingError, UsageError
from rbench.types import Call


def test_digits_have_the_shape_of_cifar_and_the_fixed_split():
    train, test = digits("train"), digits("test")
    assert (train.pixels.shape, test.pixels.shape) == ((1297, 3, 32, 32), (500, 3, 32, 32))
    assert train.pixels.dtype == np.uint8
    assert (train.digest, test.digest) == (DIGESTS["train"], DIGESTS["test"])
    assert train.classes == 10


def test_the_split_is_a_partition_and_stratified():
    labels = load_digits().target.astype(np.int64)
    split = split_indices(labels)
    assert sorted([*split["train"], *split["test"]]) == list(range(1797))
    counts = np.bincount(labels[split["test"]])
    assert np.abs(counts - 500 * np.bincount(labels) / 1797).max() < 1
    prefix = np.bincount(digits("test").labels[:100], minlength=10)
    assert prefix.min() >= 4


def test_digits_are_scaled_as_pytorch_scales_them():
    source = load_digits()
    images = torch.tensor(source.images)[:, None] * (255 / 16)
    scaled = F.interpolate(images, size=(32, 32), mode="bilinear", align_corners=False)
    expected = torch.floor(scaled + 0.5 + 1e-9).to(torch.uint8).expand(-1, 3, -1, -1).numpy()
    split = split_indices(source.target.astype(np.int64))
    assert np.array_equal(digits("test").pixels, expected[split["test"]])


def test_other_digits_are_refused(monkeypatch):
    monkeypatch.setitem(DIGESTS, "test", "0" * 64)
    _digits.cache_clear()
    with pytest.raises(MissingError, match="reinstall scikit-learn"):
        digits("test")
    _digits.cache_clear()


def test_only_some_digits_are_a_smaller_problem_with_the_classes_in_the_order_given():
    whole = digits("test")
    some = bind(Call("rbench.data.digits:digits", {"split": "test", "only": [7, 0, 3]}))()
    kept = np.flatnonzero((whole.labels == 7) | (whole.labels == 0) | (whole.labels == 3))
    assert (some.classes, some.labels.dtype, len(some.labels)) == (3, np.int64, len(kept))
    assert np.array_equal(some.images(np.arange(len(kept))), whole.images(kept))
    assert [[7, 0, 3][label] for label in some.labels] == whole.labels[kept].tolist()
    assert len({whole.digest, some.digest, digits("test", only=(0, 3, 7)).digest}) == 3


@pytest.mark.parametrize("only", [(), (3,), (1, 1, 2), (0, 10), (-1, 2)])
def test_digits_that_are_no_choice_are_refused(only):
    with pytest.raises(UsageError, match="must name two or more different digits"):
        digits("test", only=only)


def test_the_digest_sees_images_labels_and_shape():
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)
    labels = np.array([1])
    base = ArrayDataset("a", 2, pixels, labels).digest
    assert base == ArrayDataset("b", 2, pixels.copy(), labels.copy()).digest
    assert base != ArrayDataset("a", 2, pixels[::, ::-1], labels).digest
    assert base != ArrayDataset("a", 2, pixels, labels - 1).digest
    assert base != ArrayDataset("a", 2, pixels.reshape(1, 3, 2, 8), labels).digest


@pytest.fixture
def tiny_cifar(tmp_path, monkeypatch):
    """CIFAR-10 and -100 in the official file format, four images a file, with torchvision's digests made to match."""
    rng = np.random.default_rng(0)

    def write(kind, folder, names, label_key, classes):
        (tmp_path / folder).mkdir(exist_ok=True)
        lists = {}
        for name in names:
            entry = {
                "data": rng.integers(0, 256, (4, 3072), dtype=np.uint8),
                label_key: rng.integers(0, classes, 4).tolist(),
            }
            content = pickle.dumps(entry)
            (tmp_path / folder / name).write_bytes(content)
            lists[name] = (hashlib.md5(content, usedforsecurity=False).hexdigest(), entry)
        meta_key = {"CIFAR10": "label_names", "CIFAR100": "fine_label_names"}[kind]
        meta_name = {"CIFAR10": "batches.meta", "CIFAR100": "meta"}[kind]
        meta = pickle.dumps({meta_key: [str(k) for k in range(classes)]})
        (tmp_path / folder / meta_name).write_bytes(meta)
        cls = getattr(datasets, kind)
        test = [name for name in names if name.startswith("test")]
        train = [name for name in names if name not in test]
        monkeypatch.setattr(cls, "train_list", [[name, lists[name][0]] for name in train])
        monkeypatch.setattr(cls, "test_list", [[name, lists[name][0]] for name in test])
        digest = hashlib.md5(meta, usedforsecurity=False).hexdigest()
        monkeypatch.setattr(cls, "meta", {"filename": meta_name, "key": meta_key, "md5": digest})
        return {name: entry for name, (_, entry) in lists.items()}

    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    entries = write("CIFAR10", "cifar-10-batches-py", names, "labels", 10)
    write("CIFAR100", "cifar-100-python", ["train", "test"], "fine_labels", 100)
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    return tmp_path, entries


def test_cifar_is_read_from_the_official_files(tiny_cifar):
    _, entries = tiny_cifar
    train, test = cifar10("train"), cifar10("test")
    assert (len(train.labels), len(test.labels), test.classes, test.name) == (20, 4, 10, "cifar10")
    assert np.array_equal(test.images(np.array([2])), entries["test_batch"]["data"][2].reshape(1, 3, 32, 32))
    assert test.labels.tolist() == entries["test_batch"]["labels"]
    assert train.labels[4:8].tolist() == entries["data_batch_2"]["labels"]
    assert (len(cifar100("train").labels), cifar100("test").classes) == (4, 100)


def test_a_missing_or_damaged_cifar_is_one_sentence_with_the_remedy(tiny_cifar, monkeypatch, tmp_path):
    folder, _ = tiny_cifar
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(b"damaged")
    with pytest.raises(MissingError, match=r"no intact CIFAR10 .*--data-dir or \$RBENCH_DATA, or add --download"):
        cifar10("test")
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "empty"))
    with pytest.raises(MissingError, match="no intact CIFAR100"):
        cifar100("test")


def test_a_dataset_of_one_class_is_refused_and_one_image_is_enough(suite, small_net, tmp_path):
    catalog = suite()
    assert rbench.evaluate(small_net, "quick", limit=1, catalog=catalog).scores["second"].n == 1
    path = tmp_path / "shelf" / "suites" / "quick.toml"
    loader = tmp_path / "single.py"
    loader.write_text(
        "import numpy as np\nfrom rbench.data.arrays import ArrayDataset\n\n"
        "def load():\n    x = np.zeros((9, 3, 8, 8), np.uint8)\n"
        "    return ArrayDataset('one', 1, x, np.zeros(9, np.int64))\n"
    )
    given = 'use = "rbench.data.digits:digits", args = { split = "test" }'
    path.write_text(path.read_text().replace(given, f'use = "{loader}:load"'))
    with pytest.raises(MissingError, match="has a single class; no model can be fooled about it"):
        rbench.evaluate(small_net, "quick", limit=10, catalog=catalog, fresh=True)
