"""Kills at any point, crashes, full disks, folders of others: what is there afterwards."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from makings import TWO, stopped, written
from quick import contents

from rbench.errors import InterruptedRunError, StoreError
from rbench.making.run import make


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


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def altered(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


# What happens to a finished dataset, and how many of its images are then made anew.
DAMAGES = {
    "an array cut short": ("npy", "pixelate.npy", cut, 45),
    "an array with another byte": ("npy", "brightness.npy", altered, 45),
    "an array lost": ("npy", "brightness.npy", Path.unlink, 45),
    "labels lost": ("npy", "labels.npy", Path.unlink, 0),
    "labels cut short": ("npy", "labels.npy", cut, 0),
    "labels of others": ("npy", "labels.npy", lambda path: np.save(path, np.zeros(45, np.uint8)), 0),
    "a JPEG lost": ("folders", "pixelate/2/*/008.JPEG", Path.unlink, 2),
    "a JPEG cut short": ("folders", "brightness/5/*/000.JPEG", cut, 7),
    "a JPEG with another byte": ("folders", "brightness/5/*/003.JPEG", altered, 9),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_happens_to_finished_files_is_seen_and_mended(tmp_path, damage):
    form, name, harm, fresh = DAMAGES[damage]
    options = {"corruptions": TWO, "limit": 9, "form": form}  # in blocks of seven and two
    make("digits", tmp_path, **options)
    whole = written(tmp_path)
    (path,) = tmp_path.glob(name)
    harm(path)
    assert written(tmp_path) != whole
    assert make("digits", tmp_path, **options).fresh == fresh
    assert written(tmp_path) == whole
    assert make("digits", tmp_path, **options).fresh == 0


def test_a_lost_and_an_altered_file_together_are_both_mended(tmp_path):
    options = {"corruptions": TWO, "limit": 9, "form": "folders", "severities": (3,)}
    make("digits", tmp_path, **options)
    whole = written(tmp_path)
    first, *_, last = sorted(tmp_path.glob("pixelate/3/*/*.JPEG"))
    first.unlink()
    altered(last)
    make("digits", tmp_path, **options)
    assert written(tmp_path) == whole


def test_finished_folders_may_end_with_other_digests_where_another_pillow_writes(tmp_path, monkeypatch):
    options = {"corruptions": ("pixelate",), "limit": 9, "form": "folders", "severities": (3,)}
    before = make("digits", tmp_path, **options).manifest["files"]
    next(tmp_path.glob("pixelate/3/*/000.JPEG")).unlink()
    monkeypatch.setattr("rbench.making.folders.QUALITY", 80)
    after = make("digits", tmp_path, **options)
    assert (after.fresh, after.manifest["files"].keys()) == (7 + 9, before.keys())
    assert after.manifest["files"] != before
    assert make("digits", tmp_path, **options).fresh == 0


def test_labels_that_no_manifest_lists_yet_are_not_trusted(tmp_path):
    options = {"corruptions": TWO, "limit": 9}
    make("digits", tmp_path / "whole", **options)
    with stopped(1), pytest.raises(InterruptedRunError):
        make("digits", tmp_path / "cut", **options)
    np.save(tmp_path / "cut" / "labels.npy", np.zeros(45, np.uint8))
    make("digits", tmp_path / "cut", **options)
    assert written(tmp_path / "cut") == written(tmp_path / "whole")
