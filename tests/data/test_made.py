"""Folders that `rbench corrupt` really made, read as the official ones are."""

import json

import numpy as np
import pytest
from PIL import Image

from rbench import __version__
from rbench.corruptions import frost_images
from rbench.data.arrays import ArrayDataset
from rbench.data.cifar_c import cifar_c
from rbench.data.image_files import ImageFiles, Square
from rbench.data.imagenet_c import imagenet_c, tiny_imagenet_c
from rbench.data.made import maker_of
from rbench.doubt.stand_ins import of_view
from rbench.errors import MissingError
from rbench.making.run import make

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8)
LABELS = np.array([0, 1, 1])
WNIDS = ("n00000004", "n00000007")
MADE = {"source": "generated", "by": f"rbench {__version__}", "generator": "hendrycks", "made with seed": "3"}


@pytest.fixture(autouse=True)
def _data(tmp_path, monkeypatch):
    """Tests are at home where the data lie; frost is drawn, so that no photographs are needed."""
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    monkeypatch.setattr("rbench.corruptions.frost_images._folder", lambda: None)


@pytest.fixture
def arrays():
    return ArrayDataset("cifar10", 2, PIXELS[:, :, :32, :32], LABELS)


@pytest.fixture
def files(tmp_path):
    paths = tuple(tmp_path / "val" / f"{number}.png" for number in range(3))
    paths[0].parent.mkdir()
    for path, picture in zip(paths, PIXELS, strict=True):
        Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    return ImageFiles("files", 2, paths, LABELS, Square(64), WNIDS)


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Make corrupted copies of a dataset in a folder of the data."""

    def call(dataset, folder, *corruptions, **options):
        monkeypatch.setattr("rbench.making.run.loaded", lambda _: dataset)
        return make("digits", tmp_path / folder, corruptions=corruptions, seed=3, **options)

    return call


def test_arrays_that_rbench_made_are_not_called_official_or_changed(arrays, made):
    made(arrays, "CIFAR-10-C", "contrast", "frost")
    told = cifar_c(arrays, 0, corruption="contrast").provenance
    assert told == {**MADE, "files": "CIFAR-10-C", "table": "by size", "jpeg85": "no"}
    assert cifar_c(arrays, 0, corruption="frost").provenance == {**told, "frost": frost_images.source()}
    (finding,) = of_view(told, published=True)
    assert (finding.code, f"made by rbench {__version__}" in finding.message) == ("RB150", True)


@pytest.mark.parametrize(
    ("generator", "table", "said"),
    [("hendrycks", None, "by size"), ("hendrycks", 32, "32"), ("imagecorruptions", None, "224")],
)
def test_folders_that_rbench_made_say_how(files, made, generator, table, said):
    made(files, "Tiny-ImageNet-C", "contrast", "frost", severities=(2,), generator=generator, table=table)
    told = tiny_imagenet_c(files, 0, corruption="contrast", severities=(2,)).provenance
    how = {"generator": generator, "table": said, "jpeg85": "yes"}
    assert told == {**MADE, **how, "files": "Tiny-ImageNet-C", "transform": "CenterCrop(64)"}
    view = imagenet_c(files, 0, corruption="frost", severities=(2,), folder="Tiny-ImageNet-C", crop=64)
    assert view.provenance == {**told, "frost": "procedural"}
    assert [finding.code for finding in of_view(view.provenance, published=True)] == ["RB150", "RB151"]


def without(key):
    return lambda held: {name: value for name, value in held.items() if name != key}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without("layout"), "KeyError: 'layout'"),
        (without("seed"), "KeyError: 'seed'"),
        (without("files"), "KeyError: 'files'"),
        (lambda held: {**held, "layout": "zip"}, "KeyError: 'zip'"),
        (lambda held: {**held, "frost": None}, "TypeError"),
        (lambda held: {**held, "files": {"fog.npy": "0"}}, "ValueError: frost is not finished"),
        (lambda _: 7, "TypeError"),
    ],
)
def test_a_manifest_that_does_not_say_it_is_no_official_folder(arrays, made, tmp_path, change, complaint):
    made(arrays, "CIFAR-10-C", "frost")
    path = tmp_path / "CIFAR-10-C" / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(
        MissingError, match=rf"manifest\.json does not say what made frost \({complaint}.*rbench corrupt"
    ):
        dict(cifar_c(arrays, 0, corruption="frost").provenance)


def test_a_damaged_manifest_is_refused_and_that_of_others_is_none_of_ours(tmp_path):
    assert maker_of(tmp_path, "fog") == {}
    (tmp_path / "manifest.json").write_text('{"version": 1, "md5": {}}')
    assert maker_of(tmp_path, "fog") == {}
    (tmp_path / "manifest.json").write_text('{"rbench": "1')
    with pytest.raises(MissingError, match="does not say what made fog"):
        maker_of(tmp_path, "fog")


def test_changed_files_are_named():
    told = {"source": "files", "files": "CIFAR-10-C", "official": "no", "changed": "fog.npy, snow.npy"}
    (finding,) = of_view(told, published=True)
    assert (finding.code, finding.message) == ("RB152", "not the official ones in CIFAR-10-C: fog.npy, snow.npy.")
