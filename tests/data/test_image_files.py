import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rbench.data import image_files
from rbench.data.image_files import ImageFiles, Square, images_in
from rbench.errors import MissingError


@pytest.fixture
def files(tmp_path):
    """Twelve PNGs of 8 x 8 pixels."""
    rng = np.random.default_rng(0)
    paths = tuple(tmp_path / f"x_{k}.png" for k in range(12))
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return ImageFiles("x", 3, paths, np.arange(12) % 3, Square(8))


def fresh(data, **changes):
    return replace(data, **changes).digest


def test_images_are_what_the_files_hold_and_survive_pickling(files):
    images = pickle.loads(pickle.dumps(files)).images(np.array([7, 0, 7]))  # noqa: S301 - its own
    assert (images.dtype, images.shape) == (np.uint8, (3, 3, 8, 8))
    for image, index in zip(images, [7, 0, 7], strict=True):
        with Image.open(files.files[index]) as source:
            assert np.array_equal(image.transpose(1, 2, 0), np.asarray(source))


def test_images_are_not_read_before_they_are_asked_for(files):
    for path in files.files[:11]:
        path.write_bytes(b"no image")
    assert files.images(np.array([11])).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("suffix", ["png", "JPEG", "gif"])
def test_a_file_that_is_cut_short_is_named(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    data = ImageFiles("x", 1, (path,), np.array([0]), Square(64))
    assert data.images(np.array([0])).shape == (1, 3, 64, 64)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MissingError, match=rf"a\.{suffix} is no intact image of x: .*Unpack it again"):
        data.images(np.array([0]))
    path.unlink()
    with pytest.raises(MissingError, match=rf"a\.{suffix} is no intact image of x"):
        data.images(np.array([0]))


def test_the_digest_sees_names_sizes_labels_order_and_transform(files, tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "HASHED", 2)  # the contents of what is changed below are not among them
    base = fresh(files)
    other = tmp_path / "y_5.png"
    other.write_bytes(files.files[5].read_bytes())
    longer = tmp_path / "longer"
    longer.mkdir()
    (longer / "x_5.png").write_bytes(files.files[5].read_bytes() + b"\0")
    order = np.array([1, 0, *range(2, 12)])
    changed = [
        fresh(files, files=(*files.files[:5], other, *files.files[6:])),
        fresh(files, files=(*files.files[:5], longer / "x_5.png", *files.files[6:])),
        fresh(files, labels=np.roll(files.labels, 1)),
        fresh(files, files=tuple(files.files[k] for k in order), labels=files.labels[order]),
        fresh(files, transform=Square(8, 8)),
        fresh(files, files=files.files[:11], labels=files.labels[:11]),
    ]
    assert len({base, *changed}) == 7
    assert base == fresh(files, name="z")


def test_the_digest_reads_an_even_spread_of_files_only(files, monkeypatch):
    monkeypatch.setattr(image_files, "HASHED", 4)
    base, seen = fresh(files), []
    for path in files.files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        seen.append(fresh(files) != base)
        path.write_bytes(content)
    assert np.flatnonzero(seen).tolist() == [0, 4, 7, 11]


def test_a_folder_lists_images_only_by_their_numbers(tmp_path):
    for name in ("x_10.JPEG", "x_9.jpg", "boxes.txt", "._x_9.jpg", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images_in(tmp_path)] == ["x_9.jpg", "x_10.JPEG"]
    assert images_in(tmp_path / "nowhere") == []
