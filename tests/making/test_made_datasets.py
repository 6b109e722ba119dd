"""The bytes of both layouts, their names and their manifest."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from makings import TWO, expected, written
from PIL import Image, JpegImagePlugin

from rbench import corrupt
from rbench.data.digits import digits
from rbench.files import sha256
from rbench.making.data import names_of
from rbench.making.run import make


def test_arrays_hold_every_severity_of_every_sample_in_the_official_order(tmp_path):
    made = make("digits", tmp_path / "out", corruptions=("gaussian_noise", "pixelate"), limit=20, seed=3)
    assert (made.form, made.fresh) == ("npy", 200)
    labels = np.load(tmp_path / "out" / "labels.npy")
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, np.tile(digits("test").labels[:20], 5))
    for name in ("gaussian_noise", "pixelate"):
        rows = np.load(tmp_path / "out" / f"{name}.npy")
        assert (rows.shape, rows.dtype) == ((100, 32, 32, 3), np.uint8)
        for severity in range(1, 6):
            part = rows[(severity - 1) * 20 : severity * 20]
            assert np.array_equal(part, expected(name, severity, range(20), seed=3))
    assert set(written(tmp_path / "out")) == {"gaussian_noise.npy", "pixelate.npy", "labels.npy", "manifest.json"}


def test_folders_hold_jpegs_as_the_authors_stored_them(tmp_path):
    make("digits", tmp_path, corruptions=TWO, severities=(4, 2), limit=9, form="folders")
    files = {name for name in written(tmp_path) if name.endswith(".JPEG")}
    labels = digits("test").labels
    wanted = {f"{n}/{s}/{labels[k]}/{k:03d}.JPEG" for n in TWO for s in (2, 4) for k in range(9)}
    assert files == wanted
    for sample in (0, 8):
        sink = io.BytesIO()
        (image,) = expected("brightness", 4, [sample])
        Image.fromarray(image).save(sink, "JPEG", quality=85, optimize=True)
        path = tmp_path / f"brightness/4/{labels[sample]}/{sample:03d}.JPEG"
        assert path.read_bytes() == sink.getvalue()
        with Image.open(path) as stored:
            assert JpegImagePlugin.get_sampling(stored) == 2  # 4:2:0
            assert stored.quantization[0][0] == 5  # round(16 * 0.3)


def test_the_manifest_says_what_was_made_and_its_digests_hold(tmp_path):
    make("digits", tmp_path / "a", corruptions=TWO, limit=9, seed=5, table=224)
    make("digits", tmp_path / "f", corruptions=TWO, severities=(2,), limit=9, form="folders", generator="imagecorruptions")  # fmt: skip # noqa: E501
    arrays, folders = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in "af")
    assert {key: arrays[key] for key in ("dataset", "count", "seed", "table", "generator", "layout", "severities")} == {
        "dataset": "digits", "count": 9, "seed": 5, "table": 224, "generator": "hendrycks", "layout": "npy",
        "severities": [1, 2, 3, 4, 5],
    }  # fmt: skip
    assert arrays["digest"] == digits("test").digest
    assert arrays["corruptions"] == ["brightness", "pixelate"]  # in their usual order
    assert arrays["files"] == {f"{name}.npy": sha256(tmp_path / "a" / f"{name}.npy") for name in (*TWO, "labels")}
    assert (folders["generator"], folders["severities"], folders["layout"]) == ("imagecorruptions", [2], "folders")
    for part, digest in folders["files"].items():
        paths = sorted(str(path.relative_to(tmp_path / "f")) for path in (tmp_path / "f" / part).rglob("*.JPEG"))
        listing = "".join(f"{sha256(tmp_path / 'f' / path)}  {path}\n" for path in paths)
        assert digest == hashlib.sha256(listing.encode()).hexdigest()
    assert len(folders["files"]) == 2


def test_datasets_by_pointer_rectangular_with_many_classes_and_as_floats(tmp_path, loaders):
    made = make(loaders("colour"), tmp_path / "a", corruptions=("brightness",), table=32)
    rows, labels = (np.load(made.folder / f"{name}.npy") for name in ("brightness", "labels"))
    assert (rows.shape, labels.dtype, labels[6]) == ((35, 32, 40, 3), np.int64, 258)
    make(loaders("floats"), tmp_path / "b", corruptions=("brightness",), table=32)
    assert np.array_equal(np.load(tmp_path / "b" / "brightness.npy"), rows)
    assert make(loaders("split"), tmp_path / "c", corruptions=("brightness",)).manifest["dataset"] == "test"
    assert make(loaders("colour"), tmp_path / "d", corruptions=("brightness",), form="folders").fresh == 35
    assert (tmp_path / "d" / "brightness" / "5" / "258" / "6.JPEG").is_file()


def test_image_files_become_folders_of_jpegs_by_default(tmp_path, loaders):
    pictures = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    names = ["n00000004/b", "n00000004/c", "n00000007/a"]
    for name, picture in zip(names, pictures, strict=True):
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "val" / f"{name}.png")
    made = make(loaders("files"), tmp_path / "out", corruptions=("contrast",), severities=(5,), seed=2)
    assert made.form == "folders"
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.JPEG")}
    assert found == {f"contrast/5/{name}.JPEG" for name in names}
    (third,) = corrupt(pictures[2:].transpose(0, 3, 1, 2), "contrast", severity=5, seed=2, samples=[2])
    sink = io.BytesIO()
    Image.fromarray(third.transpose(1, 2, 0)).save(sink, "JPEG", quality=85, optimize=True)
    assert (tmp_path / "out" / f"contrast/5/{names[2]}.JPEG").read_bytes() == sink.getvalue()


@pytest.mark.parametrize(
    ("paths", "labels", "names"),
    [
        (["val/images/a.png", "val/images/b.png"], [1, 0], ["1/a", "0/b"]),
        (["n00000001/a.png", "n00000001/a.jpg"], [0, 0], ["0/0", "0/1"]),
    ],
)
def test_files_keep_their_names_unless_two_of_a_class_are_alike(paths, labels, names):
    class Files:
        classes = 2
        files = tuple(map(Path, paths))

    Files.labels = np.array(labels)
    assert [names_of(Files()).path(sample) for sample in range(2)] == [f"{name}.JPEG" for name in names]


def test_classes_that_a_dataset_names_come_first():
    class Named:
        classes, labels, names = 2, np.array([1, 0]), ("cat", "dog")

    assert [names_of(Named()).path(sample) for sample in range(2)] == ["dog/0.JPEG", "cat/1.JPEG"]
