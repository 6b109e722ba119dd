import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from rbench.data import tiny_imagenet as module
from rbench.data.tiny_imagenet import tiny_imagenet
from rbench.errors import MissingError

WNIDS = ["n02124075", "n01443537", "n04067472"]  # not sorted, as in the official wnids.txt
TRUTH = [2, 0, 1, 0, 1, 2, 2, 1, 0, 1, 0, 2]  # the wnid of val_0, val_1, ..., val_11


def save(path, size=(64, 64), mode="RGB"):
    """Write a JPEG whose pixels follow from its name; returns what a plain decoder makes of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path, format="JPEG")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Tiny ImageNet in its official layout, of 3 classes, 4 validation and 2 training images each."""
    root = tmp_path / "tiny-imagenet-200"
    pixels = {k: save(root / f"val/images/val_{k}.JPEG", mode="L" if k == 5 else "RGB") for k in range(len(TRUTH))}
    rows = [f"val_{k}.JPEG\t{WNIDS[label]}\t0\t0\t63\t63\n" for k, label in enumerate(TRUTH)]
    (root / "val/val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    for wnid in WNIDS:
        for k in (0, 1):
            save(root / f"train/{wnid}/images/{wnid}_{k}.JPEG")
        (root / f"train/{wnid}/{wnid}_boxes.txt").write_text("boxes")
    monkeypatch.setattr(module, "CLASSES", 3)
    monkeypatch.setattr(module, "EACH", {"train": 2, "val": 4})
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path))
    return root, pixels


def reorganise(root, inner):
    """Sort the validation images into folders of their classes, as many scripts do."""
    for k, label in enumerate(TRUTH):
        target = root / "val" / WNIDS[label] / inner / f"val_{k}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / f"val/images/val_{k}.JPEG", target)


def test_the_official_layout_gives_ranks_of_sorted_wnids_in_the_order_of_the_images(official):
    data = tiny_imagenet("val")
    assert (data.name, data.classes, data.labels.dtype) == ("tiny-imagenet", 3, np.int64)
    ranks = {"n01443537": 0, "n02124075": 1, "n04067472": 2}
    assert data.labels.tolist() == [ranks[WNIDS[label]] for label in TRUTH]
    images = data.images(np.array([11, 2, 5]))
    assert (images.dtype, images.shape) == (np.uint8, (3, 3, 64, 64))
    assert np.array_equal(images, np.stack([official[1][k] for k in (11, 2, 5)]))


@pytest.mark.parametrize("inner", ["images", "."])
@pytest.mark.parametrize("with_table", [True, False])
def test_a_reorganised_copy_is_the_same_dataset(official, inner, with_table):
    before = tiny_imagenet("val")
    digest = before.digest
    reorganise(official[0], inner)
    if not with_table:
        (official[0] / "val/val_annotations.txt").unlink()
        (official[0] / "val/images").rmdir()
    after = tiny_imagenet("val")
    assert after.files != before.files
    assert (after.digest, after.labels.tolist()) == (digest, before.labels.tolist())


def test_the_training_images_come_by_class_and_number(official):
    data = tiny_imagenet("train")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [path.name for path in data.files] == [f"{wnid}_{k}.JPEG" for wnid in sorted(WNIDS) for k in (0, 1)]
    expected = ImageFolder(official[0] / "train").samples
    assert [(str(path), label) for path, label in zip(data.files, data.labels.tolist(), strict=True)] == expected


def test_the_data_folder_may_be_the_dataset_itself(official, monkeypatch):
    before = tiny_imagenet("val").digest
    monkeypatch.setenv("RBENCH_DATA", str(official[0]))
    assert tiny_imagenet("val").digest == before


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new))


DAMAGES = {
    "lost image": (lambda r: (r / "val/images/val_3.JPEG").unlink(), r"names 'val_3.JPEG', which is not in"),
    "lost row": (lambda r: replaced(r / "val/val_annotations.txt", "val_11.JPEG\tn04067472\t0\t0\t63\t63\n", ""),
                 r"11 images instead of 12, 3 instead of 4 of n04067472\. Unpack it again"),
    "short row": (lambda r: replaced(r / "val/val_annotations.txt", "val_11.JPEG\t", "val_11.JPEG "), "names 'val_11"),
    "wrong class": (lambda r: replaced(r / "val/val_annotations.txt", "n02124075", "n99999999"),
                    "has images of 'n99999999', which wnids.txt does not list"),
    "no table": (lambda r: (r / "val/val_annotations.txt").unlink(), r"no .*annotations.txt, which holds the labels"),
    "few classes": (lambda r: replaced(r / "wnids.txt", "n04067472", ""), "lists 2 classes, not 3"),
    "no images": (lambda r: shutil.rmtree(r / "val"), "0 images instead of 12"),
    "no dataset": (lambda r: (r / "wnids.txt").unlink(), r"no tiny-imagenet-200/wnids.txt .*add --download"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_missing_is_named_with_the_remedy(official, damage):
    break_it, sentence = DAMAGES[damage]
    break_it(official[0])
    with pytest.raises(MissingError, match=sentence):
        tiny_imagenet("val")


def test_a_lost_training_image_is_noticed(official):
    (official[0] / "train/n01443537/images/n01443537_1.JPEG").unlink()
    with pytest.raises(MissingError, match="5 images instead of 6, 1 instead of 2 of n01443537"):
        tiny_imagenet("train")


def test_an_image_of_another_size_is_refused(official):
    save(official[0] / "val/images/val_4.JPEG", size=(64, 63))
    with pytest.raises(MissingError, match=r"val_4.JPEG is no intact image .*64 x 63 pixels, not 64 x 64"):
        tiny_imagenet("val").images(np.array([4]))


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A web server on this machine for the folder `web`."""
    (tmp_path / "web").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=tmp_path / "web")) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("intact", [True, False])
def test_the_archive_is_fetched_only_on_demand_and_checked(official, server, tmp_path, monkeypatch, intact):
    digest = tiny_imagenet("val").digest
    archive = Path(shutil.make_archive(tmp_path / "web/tiny", "zip", tmp_path, official[0].name))
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(module, "URL", f"{server}/tiny.zip")
    monkeypatch.setattr(module, "MD5", md5 if intact else "0" * 32)
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "new"))
    with pytest.raises(MissingError, match="add --download to fetch it"):
        tiny_imagenet("val")
    monkeypatch.setenv("RBENCH_DOWNLOAD", "1")
    if intact:
        assert tiny_imagenet("val").digest == digest
    else:
        with pytest.raises(MissingError, match="cannot be fetched"):
            tiny_imagenet("val")
