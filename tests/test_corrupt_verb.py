"""`rbench corrupt`: the bytes of both layouts, kills at any point, manifests, mistakes and previews."""

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from quick import contents

from rbench import corrupt
from rbench.cli import run
from rbench.corruptions import frost_images
from rbench.corruptions.generators import Generator
from rbench.corruptions.tables import CORRUPTIONS
from rbench.data.digits import digits
from rbench.errors import InterruptedRunError, MissingError, StoreError, UsageError
from rbench.files import sha256
from rbench.making import layouts
from rbench.making.data import names_of
from rbench.making.frost import frost_source
from rbench.making.preview import preview
from rbench.making.run import make

TWO = ("pixelate", "brightness")
ARRAYS = """
from pathlib import Path
import numpy as np
from rbench.data.arrays import ArrayDataset
from rbench.data.image_files import ImageFiles, Square

def images(shape, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, (7, *shape))
    return (values / 255).astype(dtype) if dtype != np.uint8 else values.astype(np.uint8)

def colour():
    return ArrayDataset("seven", 300, images((3, 32, 40)), np.arange(7) * 43)

def files():
    folder = Path(__file__).parent / "val"
    paths = tuple(sorted(folder.rglob("*.png")))
    return ImageFiles("files", 2, paths, np.array([0, 0, 1]), Square(32), ("n00000004", "n00000007"))

def grey():
    return ArrayDataset("grey", 10, images((1, 32, 32)), np.arange(7))

def floats():
    return ArrayDataset("floats", 10, images((3, 32, 40), np.float32), np.arange(7))

def small():
    return ArrayDataset("small", 10, images((3, 16, 16)), np.arange(7))

def broken():
    raise RuntimeError("no such luck")

def split(split: str):
    return ArrayDataset(split, 10, images((3, 32, 32)), np.arange(7))
"""


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Seven images in a block, so that twenty images take three."""
    monkeypatch.setattr(layouts, "BLOCK_PIXELS", 1)
    monkeypatch.setattr(layouts, "BLOCK_LEAST", 7)


@pytest.fixture
def loaders(tmp_path):
    (tmp_path / "loaders.py").write_text(ARRAYS)
    return f"{tmp_path / 'loaders.py'}:{{}}".format


@contextmanager
def stopped(after):
    """Interrupt the making after some blocks."""
    made, original = [], Generator.__call__

    def call(self, *args):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(1)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generator, "__call__", call)
        yield


def written(folder):
    return {name: content for name, content in contents(folder).items() if name != ".lock"}


def expected(name, severity, samples, **options):
    images = digits("test").images(np.asarray(samples))
    return corrupt(images, name, severity=severity, samples=samples, **options).transpose(0, 2, 3, 1)


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


@pytest.mark.parametrize("form", ["npy", "folders"])
@pytest.mark.parametrize("after", [0, 1, 17, 29])
def test_an_interruption_anywhere_leaves_nothing_that_looks_finished_and_resumes(tmp_path, form, after):
    options = {"corruptions": TWO, "limit": 20, "form": form}
    make("digits", tmp_path / "whole", **options)
    with stopped(after), pytest.raises(InterruptedRunError, match="the same call resumes"):
        make("digits", tmp_path / "cut", **options)
    whole, cut = written(tmp_path / "whole"), written(tmp_path / "cut")
    visible = {name for name in cut if not name.startswith(".") and name != "manifest.json"}
    assert all(cut[name] == whole[name] for name in visible)
    assert ("brightness.npy" in visible) == (form == "npy" and after >= 15)
    assert "pixelate.npy" not in visible
    kept = after if form == "folders" else after // 5 * 5  # arrays list the five severities of some images at once
    sizes = [7] * 5 + [7] * 5 + [6] * 5
    assert make("digits", tmp_path / "cut", **options).fresh == 200 - sum((sizes * 2)[:kept])
    assert written(tmp_path / "cut") == whole
    assert make("digits", tmp_path / "cut", **options).fresh == 0
    assert written(tmp_path / "cut") == whole


def test_kill_9_in_the_middle_then_the_same_call_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.undo()  # the process below has blocks of the usual size
    words = ["corrupt", "--data", "digits", "--limit", "400", "--corruption", "glass_blur", "--corruption", "pixelate"]
    command = [sys.executable, "-m", "rbench", *words, "--out", str(tmp_path / "cut"), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list((tmp_path / "cut").glob(".*.npy.blocks")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "pixelate.npy" not in json.loads((tmp_path / "cut" / "manifest.json").read_text())["files"]
    options = {"corruptions": ("glass_blur", "pixelate"), "limit": 400}
    assert 2000 <= make("digits", tmp_path / "cut", **options).fresh < 4000
    make("digits", tmp_path / "whole", **options)
    assert written(tmp_path / "cut") == written(tmp_path / "whole")


def test_what_a_crash_may_leave_behind_is_mended(tmp_path):
    options = {"corruptions": TWO, "limit": 20}
    make("digits", tmp_path / "whole", **options)
    whole = written(tmp_path / "whole")
    folder = tmp_path / "cut"
    with stopped(25), pytest.raises(InterruptedRunError):
        make("digits", folder, **options)
    listed = folder / ".pixelate.npy.blocks"
    listed.write_text(listed.read_text()[:-1])  # torn: its block is made again
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {}}))  # killed before brightness was listed
    assert make("digits", folder, **options).fresh == 100 - 2 * 5 * 7 + 7
    assert written(folder) == whole
    (folder / "brightness.npy").unlink()  # not by a crash
    (folder / ".brightness.npy.blocks").write_text("1 0 7\n")  # a list without its file
    assert make("digits", folder, **options).fresh == 100
    assert written(folder) == whole


def test_lost_and_empty_files_of_an_unfinished_folder_are_made_again(tmp_path):
    options = {"corruptions": ("pixelate",), "limit": 20, "form": "folders", "severities": (1, 3)}
    make("digits", tmp_path / "whole", **options)
    with stopped(5), pytest.raises(InterruptedRunError):
        make("digits", tmp_path / "cut", **options)
    first, *_, last = sorted((tmp_path / "cut" / "pixelate" / "1").rglob("*.JPEG"))
    first.write_bytes(b"")
    last.with_name(f".{last.name}.tmp").write_bytes(b"half")
    last.unlink()
    make("digits", tmp_path / "cut", **options)
    assert written(tmp_path / "cut") == written(tmp_path / "whole")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 1}, "seed is 0, not 1"),
        ({"limit": 8}, "count is 9, not 8"),
        ({"corruptions": ("fog",)}, r"corruptions is \['brightness', 'pixelate'\], not \['fog'\]"),
        ({"generator": "imagecorruptions"}, "generator is 'hendrycks', not 'imagecorruptions'"),
        ({"table": 64}, "table is None, not 64"),
        ({"form": "folders"}, "layout is 'npy', not 'folders'"),
    ],
)
def test_another_dataset_in_the_same_folder_is_refused(tmp_path, changes, key):
    options = {"corruptions": TWO, "limit": 9}
    make("digits", tmp_path, **options)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=key):
        make("digits", tmp_path, **(options | changes))
    assert contents(tmp_path) == before


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "pixelate.npy").write_bytes(b"the authors' own")
    with pytest.raises(StoreError, match=r"holds 'pixelate.npy' but no manifest.json"):
        make("digits", tmp_path, corruptions=TWO, limit=9)
    assert contents(tmp_path) == {"pixelate.npy": b"the authors' own"}


@pytest.mark.parametrize("form", ["npy", "folders"])
def test_a_full_disk_is_a_sentence_and_resumes(tmp_path, monkeypatch, form):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*args):
        raise full

    options = {"corruptions": TWO, "limit": 9, "form": form}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail) if form == "npy" else patch.setattr(Path, "replace", fail)
        with pytest.raises(StoreError, match="No space left on device"):
            make("digits", tmp_path / "out", **options)
    assert not list((tmp_path / "out").glob("*.npy"))
    assert make("digits", tmp_path / "out", **options).fresh == 90


def test_a_folder_in_use_is_left_to_its_process(tmp_path):
    from filelock import FileLock

    make("digits", tmp_path, corruptions=TWO, limit=9)
    with FileLock(tmp_path / ".lock"), pytest.raises(InterruptedRunError, match="another process is writing"):
        make("digits", tmp_path, corruptions=TWO, limit=9)


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


def test_frost_photographs_are_named_for_the_time_of_one_call(tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_FROST", "before")
    with frost_source(tmp_path):
        assert os.environ["RBENCH_FROST"] == str(tmp_path)
    assert os.environ["RBENCH_FROST"] == "before"
    monkeypatch.delenv("RBENCH_FROST")
    with pytest.raises(KeyError), frost_source(tmp_path):
        raise KeyError
    assert "RBENCH_FROST" not in os.environ
    with pytest.raises(UsageError, match="no folder"), frost_source(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize(("source", "warned"), [("procedural", True), ("photographs", False)])
def test_frost_of_other_pictures_is_in_the_manifest_and_said(tmp_path, monkeypatch, capsys, source, warned):
    monkeypatch.setattr(frost_images, "source", lambda: source)
    monkeypatch.setattr(frost_images, "digest", lambda: "abc")
    words = [*HERE, "--corruption", "frost", "--out", str(tmp_path)]
    assert run(words) == 0
    assert ("WARNING: frost is procedural; name a folder" in capsys.readouterr().err) is warned
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["frost"] == {"source": source, "digest": "abc"}
    monkeypatch.setattr(frost_images, "digest", lambda: "others")
    assert run(words) == 4
    assert "its frost is {'digest': 'abc'" in capsys.readouterr().err


@pytest.mark.parametrize("nothing", ["corruptions", "severities"])
def test_no_dataset_of_nothing(tmp_path, nothing):
    with pytest.raises(UsageError, match="nothing to make"):
        make("digits", tmp_path / "out", **{nothing: ()}, form="folders")
    assert not (tmp_path / "out").exists()


def test_damaged_frost_photographs_are_refused_before_anything_is_written(tmp_path):
    (tmp_path / "frost").mkdir()
    for name in frost_images.PHOTOGRAPHS:
        (tmp_path / "frost" / name).write_bytes(b"ice")
    with pytest.raises(MissingError, match="frost"):
        make("digits", tmp_path / "out", corruptions=("brightness", "frost"), limit=9, frost=tmp_path / "frost")
    assert not (tmp_path / "out").exists()


HERE = ["corrupt", "--data", "digits", "--limit", "9", "-q", "--workers", "1"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--corruption", "pixelat"], 3, "Did you mean 'pixelate'?"),
        (["--data", "digit"], 3, "Did you mean 'digits'?"),
        (["--data", "nowhere.py:load"], 4, "no file"),
        (["--data", "{loaders}:colours"], 3, "Did you mean 'colour'?"),
        (["--data", "{loaders}:grey"], 3, "repeats the grey channel"),
        (["--data", "{loaders}:small"], 3, "16 x 16 pixels are too small"),
        (["--data", "{loaders}:colour", "--table", "33"], 3, "no constants for images of 32 x 40 pixels"),
        (["--data", "{loaders}:broken"], 4, "RuntimeError: no such luck"),
        (["--data", "cifar10"], 4, "no intact CIFAR10"),
        (["--generator", "hendricks"], 3, "Did you mean 'hendrycks'?"),
        (["--severity", "0"], 3, "severity = 0 must be one of 1, 2, 3, 4, 5"),
        (["--severity", "6", "--format", "folders"], 3, "severity = 6 must be"),
        (["--severity", "3"], 3, "add --format folders"),
        (["--format", "nyp"], 3, "Did you mean 'npy'?"),
        (["--limit", "0"], 3, "Invalid value for '--limit'"),
        (["--seed", "-1"], 3, "seed = -1 must lie in"),
        (["--workers", "0"], 3, "Invalid value for '--workers'"),
        (["--frost", "nowhere"], 3, "no folder nowhere of frost photographs"),
        (["--out", "{loaders}"], 3, "is a file; name a folder"),
        (["--out", "/proc/nowhere"], 4, "cannot write /proc/nowhere"),
        (["--size", "224"], 3, "go with --preview"),
        (["--preview", "x.jpg"], 3, "leave out --out"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence_before_anything_is_written(words, code, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loaders.py").write_text(ARRAYS)
    words = [word.format(loaders=tmp_path / "loaders.py") for word in words]
    assert run([*HERE, "--corruption", "brightness", "--out", "out", *words]) == code
    out, err = capsys.readouterr()
    assert sentence in " ".join(err.replace("│", " ").split())
    assert (out, (tmp_path / "out").exists()) == ("", False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name a dataset and a folder"),
        (["--data", "digits"], "name a dataset and a folder"),
        (["--preview", "x.jpg"], "write --preview FILE.png"),
        (["--preview", "x.png", "--data", "digits", "--size", "64"], "leave out --image and --size"),
        (["--preview", "x.png", "--size", "20"], "too small"),
        (["--preview", "x.png", "--size", "-4"], "size = -4 must be at least 1"),
        (["--preview", "x.png", "--image", "none.jpg"], "none.jpg is no image that can be read"),
        (["--preview", "x.png", "--corruption", "fgo"], "Did you mean 'fog'?"),
    ],
)
def test_mistakes_about_what_to_make(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["corrupt", *words]) in (3, 4)
    out, err = capsys.readouterr()
    assert sentence in err
    assert (out, list(tmp_path.iterdir())) == ("", [])


def test_the_command_makes_resumes_and_says_so(tmp_path, capsys):
    words = [*HERE, "--out", str(tmp_path / "out"), "--corruption", "brightness"]
    with stopped(8):
        assert run(words) == 5
    assert (
        f"To resume: rbench corrupt --data digits --limit 9 -q --workers 1 --out {tmp_path}" in capsys.readouterr().err
    )
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "out")]
    assert "complete: 10 images made; 1 corruption x 5 severities x 9 images of digits, layout npy" in err
    assert run(words) == 0
    assert "complete: nothing to do" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = "import sys; from rbench.cli import run; run(['corrupt', '--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--preview" in done.stdout


def test_a_preview_shows_the_clean_image_and_what_corrupt_makes_of_it(tmp_path, capsys):
    words = ["--corruption", "gaussian_noise", "--corruption", "pixelate", "--severity", "2", "--seed", "4"]
    path = tmp_path / "new" / "sheet.png"
    assert run(["corrupt", "--preview", str(path), "--data", "digits", *words]) == 0
    assert capsys.readouterr().out.split() == [str(path)]
    with Image.open(path) as image:
        page = np.asarray(image.convert("RGB"))
    clean = digits("test").images(np.array([0]))[0].transpose(1, 2, 0)
    tiles = [clean, *(expected(name, 2, [0], seed=4)[0] for name in ("gaussian_noise", "pixelate"))]
    assert [occurrences(page, np.kron(tile, np.ones((4, 4, 1), np.uint8))) for tile in tiles] == [2, 1, 1]


def occurrences(page, tile):
    """How often a tile stands on a page."""
    height, width, _ = tile.shape
    tops, lefts = np.nonzero((page[: -height + 1, : -width + 1] == tile[0, 0]).all(-1))
    return sum(np.array_equal(page[y : y + height, x : x + width], tile) for y, x in zip(tops, lefts, strict=True))


def test_a_preview_of_a_file_is_resized_and_cropped(tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "rbench.report.contact_sheet.contact_sheet",
        lambda clean, versions, columns, groups, title, note: shown.update(locals()) or b"page",
    )
    gradient = np.zeros((40, 80, 3), np.uint8)
    gradient[:, 20:60, 1] = 200  # the middle of the width is green
    Image.fromarray(gradient).save(tmp_path / "wide.png")
    preview(tmp_path / "a.png", image=tmp_path / "wide.png", size=32, corruptions=("brightness",), severities=(3, 1))
    assert shown["clean"].shape == (32, 32, 3)
    assert (shown["clean"][:, 1:-1] == (0, 200, 0)).all()
    assert shown["columns"] == ["severity 1", "severity 3"]
    assert shown["note"] == "wide.png, 32 x 32 pixels; generator hendrycks; seed 0"
    preview(tmp_path / "a.png", corruptions=("brightness",), generator="imagecorruptions", table=224, seed=7)
    assert shown["clean"].shape == (224, 224, 3)
    assert shown["note"].startswith("china.jpg, 224 x 224 pixels; generator imagecorruptions")
    assert "seed 7" in shown["note"]
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(MissingError, match="no image that can be read"):
        preview(tmp_path / "a.png", image=tmp_path / "text.jpg")


def test_by_default_the_common_corruptions_are_made_and_extra_adds_four(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "rbench.making.run.make", lambda *args, corruptions, **options: asked.append(corruptions) or 1 / 0
    )
    for words in ([], ["--extra"], ["--extra", "--corruption", "fog"]):
        with pytest.raises(ZeroDivisionError):
            run([*HERE, "--out", str(tmp_path), *words])
    common, everything, some = asked
    assert (len(common), common[0], common[-1]) == (15, "gaussian_noise", "jpeg_compression")
    assert everything == CORRUPTIONS
    assert some == ("fog", "speckle_noise", "gaussian_blur", "spatter", "saturate")
