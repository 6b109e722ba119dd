import errno
import json
import os
from dataclasses import fields, replace

import numpy as np
import pytest
from evidence import outcomes

from rbench.errors import InterruptedRunError, StoreError
from rbench.store import Run, set_aside
from rbench.types import Finding, Job, Outcomes, Probe, Threat

JOB = Job("m", "w", "s@1", Probe("fgsm", block=3), Threat("linf", "8/255"), "d", "c", 0)
MANIFEST = {"suite": "s@1 abc", "model": "m", "seed": 0}
BLOCKS = [outcomes([True, False, True]), outcomes([False, False, True], start=3), outcomes([True], start=6)]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def fill(run, blocks=BLOCKS):
    with run.writing(MANIFEST):
        for block in blocks:
            run.commit(JOB, block)
        if len(run.done(JOB)) == len(BLOCKS):
            run.complete(JOB, 7, (Finding("x", "info", "y"),))


def test_what_is_committed_comes_back_in_order(run):
    fill(run, BLOCKS[::-1])
    got = run.outcomes("fgsm")
    for field in fields(Outcomes):
        expected = np.concatenate([getattr(block, field.name) for block in BLOCKS])
        assert np.array_equal(getattr(got, field.name), expected)
        assert getattr(got, field.name).dtype == expected.dtype
    assert run.findings("fgsm") == (Finding("x", "info", "y"),)


def test_an_incomplete_probe_has_no_outcomes(run):
    fill(run, BLOCKS[:2])
    assert run.outcomes("fgsm") is None
    assert run.findings("fgsm") is None
    assert sorted(run.done(JOB)) == [0, 3]


def test_any_order_and_any_interruption_leave_the_same_bytes(tmp_path):
    whole, broken = Run(tmp_path / "a"), Run(tmp_path / "b")
    fill(whole)
    fill(broken, BLOCKS[2:])
    (broken.folder / "fgsm" / ".000003.parquet.123.tmp").write_bytes(b"half a block")  # what kill -9 leaves behind
    fill(broken, BLOCKS[1::-1])
    assert contents(whole.folder) == contents(broken.folder)


@pytest.mark.parametrize("key", ["suite", "model", "seed", "format", "new"])
def test_a_folder_of_another_evaluation_is_refused_with_the_key_named(run, key):
    fill(run)
    before = contents(run.folder)
    with pytest.raises(StoreError, match=rf"(its {key} is|in format).*"), run.writing({**MANIFEST, key: "other"}):
        pytest.fail("was let in")
    assert contents(run.folder) == before


def test_a_folder_in_an_unknown_format_is_refused(run):
    fill(run)
    path = run.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        run.manifest()


def test_one_process_at_a_time_writes(run):
    with run.writing(MANIFEST):
        with pytest.raises(InterruptedRunError, match="another process"), Run(run.folder).writing(MANIFEST):
            pytest.fail("was let in")
        run.commit(JOB, BLOCKS[0])
    with Run(run.folder).writing(MANIFEST):
        assert list(run.done(JOB)) == [0]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_noticed(run, damage):
    fill(run)
    path = run.folder / "fgsm" / "000003.parquet"
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncate" else content[:50] + b"\0" + content[51:])
    with pytest.raises(StoreError, match=r"000003\.parquet is missing or damaged"):
        run.outcomes("fgsm")


def test_a_block_of_another_job_is_noticed(run):
    with run.writing(MANIFEST):
        run.commit(replace(JOB, seed=1), BLOCKS[0])
        run.complete(JOB, 3, ())
    with pytest.raises(StoreError, match="belongs to another job"):
        run.outcomes("fgsm")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_one_sentence_and_loses_nothing(run, monkeypatch, code):
    fill(run, BLOCKS[:1])
    before = contents(run.folder)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match=f"{os.strerror(code)}.*What is committed stays"):
            fill(run, BLOCKS[1:2])
    assert contents(run.folder) == before
    fill(run, BLOCKS[1:])
    assert len(run.outcomes("fgsm")) == 7


def test_a_path_that_cannot_be_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"), Run(tmp_path / "file" / "run").writing(MANIFEST):
        pytest.fail("was let in")


def test_setting_aside_never_deletes(run):
    assert set_aside(run.folder) is None
    fill(run)
    first = contents(run.folder)
    assert set_aside(run.folder).name == "run.old-1"
    fill(run, BLOCKS[:1])
    assert set_aside(run.folder).name == "run.old-2"
    assert contents(run.folder.with_name("run.old-1")) == first


def test_settings_are_those_of_the_first_day(run):
    with run.writing(MANIFEST):
        run.remember({"batch": 100})
        run.remember({"batch": 100, "new": 1})
        with pytest.raises(StoreError, match=r"was begun with batch 100, not 7.*--fresh"):
            run.remember({"batch": 7})
    assert run.settings() == {"batch": 100}


def test_a_folder_that_is_being_written_is_not_set_aside(run):
    with run.writing(MANIFEST), pytest.raises(InterruptedRunError, match="another process"):
        set_aside(run.folder)
    assert set_aside(run.folder).name == "run.old-1"
