import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from rbench.corruptions import frost_images
from rbench.corruptions.corrupt import corrupt
from rbench.corruptions.frost import frost, frost_variant
from rbench.corruptions.frost_images import PHOTOGRAPHS, SIZES, digest, pictures, source
from rbench.corruptions.frost_resize import cubic, linear
from rbench.corruptions.randomness import Replay
from rbench.errors import MissingError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """No photographs, whatever is installed."""
    monkeypatch.delenv("RBENCH_FROST", raising=False)
    monkeypatch.setattr(frost_images, "find_spec", lambda _: None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of pictures of the photographs' sizes that pass for them."""
    made = {}
    for name, (height, width) in zip(PHOTOGRAPHS, SIZES, strict=True):
        values = np.random.default_rng(height).integers(0, 256, (height, width, 4), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(values).save(file, "PNG", compress_level=0)
        (tmp_path / name).write_bytes(file.getvalue())
        made[name] = hashlib.sha256(file.getvalue()).hexdigest()
    monkeypatch.setattr(frost_images, "PHOTOGRAPHS", made)
    return tmp_path


def draws(which, row, column):
    return Replay([torch.tensor(which), torch.tensor(row), torch.tensor(column)])


def test_frost_is_a_weighted_sum_with_a_crop_of_the_chosen_picture():
    x = torch.randint(0, 256, (3, 3, 32, 48)).float() / 255
    # The last possible row and the first column; then the middle; then a place that is just not the next.
    found = frost(x, draws([4, 0, 1], [0.9999999, 0.5, 0.0], [0.0, 0.5, 0.4999999]), 0.8, 0.6, 1.0) * 255
    whole = pictures("linear", (1.0,) * 5, CPU)
    for k, (which, row, column) in enumerate([(4, 495 - 32 - 1, 0), (0, 284, 426), (1, 0, 255)]):
        crop = whole.pixels[which, :, row : row + 32, column : column + 48].double()
        expected = (0.8 * (x[k] * 255).round().double() + 0.6 * crop).clamp(0, 255).floor()
        torch.testing.assert_close(found[k], expected.float(), atol=1e-3, rtol=0)


def test_sums_that_are_whole_but_for_rounding_are_truncated_as_doubles_are():
    x = (torch.arange(32 * 32) % 256).float().view(1, 1, 32, 32).expand(1, 3, -1, -1) / 255
    found = (frost(x, draws([0], [0.0], [0.0]), 0.7, 0.7, 1.0) * 255).round()
    crop = pictures("linear", (1.0,) * 5, CPU).pixels[:1, :, :32, :32].numpy()
    expected = np.clip(0.7 * np.rint(x.numpy() * 255).astype(np.uint8) + 0.7 * crop, 0, 255).astype(np.uint8)
    assert (found.numpy() == expected).all()


@pytest.mark.parametrize("scale", [0.2, 0.3])
def test_small_images_get_frost_from_reduced_pictures(scale):
    black = torch.zeros(1, 3, 32, 32)
    found = (frost(black, draws([3], [0.0], [0.0]), 1.0, 1.0, scale) * 255).round()
    original = pictures("linear", (1.0,) * 5, CPU).pixels[3, :, :350, :527]
    assert torch.equal(found[0], linear(original, scale)[:, :32, :32].float())


@pytest.mark.parametrize("size", [(320, 64), (64, 700)])
@pytest.mark.parametrize("function", [frost, frost_variant])
def test_pictures_grow_with_images_that_do_not_fit(size, function):
    black = torch.zeros(5, 3, *size)
    last = torch.full((5,), 1 - 2**-24)
    found = function(black, Replay([torch.arange(5), last, last]), 1.0, 1.0, 1.0)
    assert found.shape == black.shape
    assert (found.amax((1, 2, 3)) > 0).all()
    assert (found[:, :, -1, -1].amax(1) > 0).all()  # no edge of what pads the smaller pictures


def test_the_variant_enlarges_by_a_tenth_and_more_where_needed():
    black = torch.zeros(1, 3, 400, 64)
    found = (frost_variant(black, draws([3], [0.0], [0.0]), 1.0, 1.0, 1.0) * 255).round()
    original = pictures("cubic", (1.0,) * 5, CPU).pixels[3, :, :350, :527]
    assert torch.equal(found[0], cubic(original, 400 / 350 * 1.1)[:, :400, :64].float())


def test_an_image_has_the_same_frost_in_any_batch():
    x = torch.full((3, 3, 32, 32), 90, dtype=torch.uint8)
    together = corrupt(x, "frost", severity=3, seed=4)
    assert torch.equal(corrupt(x[1:2], "frost", severity=3, seed=4, samples=[1]), together[1:2])
    assert not torch.equal(together[0], together[1])


def test_photographs_are_read_from_the_folder_that_the_variable_names(folder, monkeypatch):
    made = digest()
    assert source() == "procedural"
    monkeypatch.setenv("RBENCH_FROST", str(folder))
    assert source() == "photographs"
    assert digest() != made
    read = pictures("linear", (1.0,) * 5, CPU)
    assert read.sizes.tolist() == [list(size) for size in SIZES]
    for name, page, (height, width) in zip(PHOTOGRAPHS, read.pixels, SIZES, strict=True):
        values = np.asarray(Image.open(folder / name))
        assert (page[:, :height, :width].permute(1, 2, 0).numpy() == values[..., :3]).all()  # opacity is ignored


def test_photographs_of_the_package_are_found_without_importing_it(folder, monkeypatch, tmp_path_factory):
    package = tmp_path_factory.mktemp("site") / "imagecorruptions"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('never import me')")
    monkeypatch.undo()
    monkeypatch.delenv("RBENCH_FROST", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(__import__("sys").modules, "imagecorruptions", raising=False)
    assert source() == "procedural"  # a package without photographs
    (package / "frost").symlink_to(folder)
    assert source() == "photographs"


def test_the_variable_goes_before_the_package(folder, monkeypatch):
    class Spec:
        submodule_search_locations = (str(folder.parent),)

    monkeypatch.setattr(frost_images, "find_spec", lambda _: Spec)
    monkeypatch.setenv("RBENCH_FROST", str(folder / "mine"))
    with pytest.raises(MissingError, match="mine"):
        pictures("linear", (1.0,) * 5, CPU)


def test_a_missing_photograph_is_named(folder, monkeypatch):
    (folder / "frost4.jpg").unlink()
    monkeypatch.setenv("RBENCH_FROST", str(folder))
    with pytest.raises(MissingError, match=r"frost4\.jpg is missing; name a folder"):
        corrupt(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "frost", severity=1)


def test_a_damaged_photograph_is_named(folder, monkeypatch):
    (folder / "frost2.png").write_bytes(b"snow")
    monkeypatch.setenv("RBENCH_FROST", str(folder))
    with pytest.raises(MissingError, match=r"frost2\.png has the SHA-256 .* expected .*RBENCH_FROST"):
        corrupt(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "frost", severity=1)


def test_the_digest_reads_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("RBENCH_FROST", str(tmp_path / "nowhere"))
    assert len(digest()) == 64


def test_linear_resizing_takes_neighbours_without_smoothing():
    x = torch.tensor([[[0, 10, 20, 30, 40, 50, 60, 70, 80, 91]]], dtype=torch.uint8).expand(1, 10, 10)
    assert linear(x, 0.2)[0, 0].tolist() == [20, 70]  # the middle of five pixels
    assert linear(x, 0.5)[0, 0].tolist() == [5, 25, 45, 65, 86]  # of two: halves up
    assert linear(x, 2)[0, 0, :4].tolist() == [0, 2, 7, 12]  # OpenCV's shifts cut 2.5 and 7.5


def test_cubic_resizing_is_keys_convolution():
    x = np.random.default_rng(0).integers(0, 256, 40)

    def kernel(t, a=-0.75):
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0

    expected = []
    for k in range(44):
        at = (k + 0.5) * 40 / 44 - 0.5
        first = int(np.floor(at))
        taps = range(first - 1, first + 3)
        expected.append(sum(kernel(at - i) * x[np.clip(i, 0, 39)] for i in taps))
    found = cubic(torch.from_numpy(x).to(torch.uint8).expand(1, 10, 40), 1.1)
    assert found.shape == (1, 11, 44)
    assert np.abs(found[0, 5].numpy() - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("factor", [0.2, 0.3, 1.37, 2])
def test_linear_resizing_is_that_of_opencv(factor):
    cv2 = pytest.importorskip("cv2")
    x = np.random.default_rng(0).integers(0, 256, (63, 95, 3), dtype=np.uint8)
    expected = cv2.resize(x, (0, 0), fx=factor, fy=factor)
    assert (linear(torch.from_numpy(x).permute(2, 0, 1), factor).permute(1, 2, 0).numpy() == expected).all()


def test_cubic_resizing_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    x = np.random.default_rng(0).integers(0, 256, (63, 95, 3), dtype=np.uint8)
    expected = cv2.resize(x, (105, 70), interpolation=cv2.INTER_CUBIC).astype(int)
    apart = np.abs(cubic(torch.from_numpy(x).permute(2, 0, 1), 1.1).permute(1, 2, 0).numpy() - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.06  # without Intel's library OpenCV rounds its weights to 1/2048
