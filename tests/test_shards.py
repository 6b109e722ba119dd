"""Shares of an evaluation that different machines run, and the one run that is made of them."""

import json
import shutil

import pytest
from quick import SUITE, contents

import rbench
from rbench.catalog import Catalog
from rbench.cli import run
from rbench.errors import MissingError, StoreError, UsageError
from rbench.sharding import evaluate_shard
from rbench.shards import Share, merge
from rbench.tuning import DEFAULT_BATCH

OPTIONS = {"limit": 50, "batch": 20}  # groups of two blocks of ten, the last of one


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A catalog, three shares of a run under one folder, and the files of the run in one piece."""
    shelf = tmp_path_factory.mktemp("shelf")
    (shelf / "suites").mkdir()
    (shelf / "suites" / "quick.toml").write_text(
        SUITE.format(attack="rbench.attacks.pgd:pgd", args="{ steps = 2 }", norm="linf", eps="24/255")
    )
    catalog, runs, whole = Catalog.find([shelf]), tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("whole")
    for shard in ("1/3", "2/3", "3/3"):
        evaluate_shard("at-digits", "quick", shard, catalog=catalog, runs=runs, **OPTIONS)
    rbench.evaluate("at-digits", "quick", catalog=catalog, runs=whole, **OPTIONS)
    return shelf, catalog, runs, whole


@pytest.fixture
def copy(made, tmp_path):
    """The folder of the three shares' folders, to be changed at will, and a folder for runs."""
    shutil.copytree(made[2] / "shards", tmp_path / "shards")
    return tmp_path / "shards", tmp_path / "merged"


def place(shards, i, n=3):
    return shards / f"{i}of{n}" / "quick" / "at-digits" / "seed0-first50"


def test_shares_are_disjoint_and_keep_together_what_shares_a_batch(made):
    found = [
        {
            path.relative_to(place(made[2] / "shards", i)).as_posix()
            for path in made[2].glob(f"shards/{i}of3/*/*/*/*/*.parquet")
        }
        for i in (1, 2, 3)
    ]
    assert found[0] == {
        "clean/000000.parquet", "clean/000010.parquet", "first/000040.parquet", "second/000020.parquet",
        "second/000030.parquet",
    }  # fmt: skip
    assert sum(map(len, found)) == len(set().union(*found)) == 15


def test_merging_gives_the_bytes_of_one_run_which_then_has_nothing_to_do(made, copy):
    shards, merged = copy
    (done,) = merge(sorted(shards.iterdir()), merged)
    verdict = "verdict.json"  # is drawn when scores are shown
    whole = {name: data for name, data in contents(made[3]).items() if not name.endswith(verdict)}
    assert contents(merged) == whole
    assert (done.shares, done.folder) == (3, merged / "quick" / "at-digits" / "seed0-first50")
    again = rbench.evaluate("at-digits", "quick", catalog=made[1], runs=merged, **OPTIONS)
    assert again.fresh_blocks == 0
    assert contents(merged) == contents(made[3])
    merge([shards], merged)  # once more, and by a folder above
    assert contents(merged) == contents(made[3])


def test_a_share_resumes_and_then_has_nothing_to_do(made, tmp_path):
    shutil.copytree(made[2] / "shards", tmp_path / "shards")
    before = contents(tmp_path)
    (place(tmp_path / "shards", 2) / "second" / "shard.json").unlink()
    (place(tmp_path / "shards", 2) / "second" / "000040.parquet").unlink()
    for fresh in (1, 0):
        done = evaluate_shard("at-digits", "quick", "2/3", catalog=made[1], runs=tmp_path, **OPTIONS)
        assert done.fresh_blocks == fresh
    assert contents(tmp_path) == before


def test_a_share_is_no_run_that_tables_show(made):
    table = rbench.table("quick", limit=50, runs=made[2], catalog=made[1])
    inside = rbench.table("quick", limit=50, runs=made[2] / "shards" / "1of3", catalog=made[1])
    assert "--model at-digits" in table
    assert "--model at-digits" in inside


def test_a_missing_share_is_named_with_its_command(copy):
    shards, merged = copy
    shutil.rmtree(shards / "2of3")
    with pytest.raises(MissingError, match=r"shard 2/3 is missing .*--suite quick --model at-digits .*--shard 2/3$"):
        merge([shards], merged)
    assert not merged.exists()


def test_overlapping_shares_are_named(copy):
    shards, merged = copy
    shutil.copytree(shards / "2of3", shards / "other")
    with pytest.raises(StoreError, match=r"2of3.* and .*other.* overlap: both are shard 2/3"):
        merge([shards], merged)
    assert not merged.exists()


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [("manifest.json", "weights", "f" * 64), ("settings.json", "batch", 50), ("shard.json", "of", 4)],
)
def test_a_foreign_share_is_named_with_what_differs(copy, file, key, value):
    shards, merged = copy
    path = place(shards, 3) / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(StoreError, match=rf"3of3.* is no shard of the same run as .*1of3.*its {key} is"):
        merge([shards], merged)
    assert not merged.exists()


def test_an_incomplete_share_and_a_damaged_block_are_named(copy):
    shards, merged = copy
    block = place(shards, 1) / "clean" / "000010.parquet"
    content = block.read_bytes()
    block.write_bytes(content[:-1])
    with pytest.raises(StoreError, match=r"1of3.*000010\.parquet is missing or damaged"):
        merge([shards], merged)
    block.write_bytes(content)
    (place(shards, 3) / "first" / "shard.json").unlink()
    with pytest.raises(MissingError, match=r"3of3.* is not complete, it lacks first\. Run: .*--shard 3/3"):
        merge([shards], merged)
    assert not merged.exists()


def test_a_block_that_two_shares_hold_is_refused(copy):
    shards, merged = copy
    mine, other = (place(shards, i) / "clean" for i in (1, 2))
    shutil.copy(mine / "000000.parquet", other)
    markers = [json.loads((folder / "shard.json").read_text()) for folder in (mine, other)]
    markers[1]["blocks"]["000000.parquet"] = markers[0]["blocks"]["000000.parquet"]
    (other / "shard.json").write_text(json.dumps(markers[1]))
    with pytest.raises(StoreError, match="hold 60 samples in place of 50"):
        merge([shards], merged)


def test_a_run_that_is_there_and_another_one_is_left_alone(copy, made):
    shards, merged = copy
    rbench.evaluate("at-digits", "quick", catalog=made[1], runs=merged, limit=50, batch=10)
    before = contents(merged)
    with pytest.raises(StoreError, match=r"was begun with batch 10, not 20"):
        merge([shards], merged)
    assert contents(merged) == before


def test_a_folder_without_shares_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no shard; make one with `rbench eval \.\.\. --shard 1/4`"):
        merge([tmp_path], tmp_path)


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "1/0", "a/b", "-1/4", "1/4/2"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="is no share; write 1/4"):
        Share.parse(text)


def test_a_share_without_any_block_and_the_size_of_batches_that_is_not_measured(made, tmp_path):
    done = evaluate_shard("at-digits", "quick", "9/9", catalog=made[1], runs=tmp_path, limit=60)
    assert done.fresh_blocks == 0
    assert json.loads((done.folder / "settings.json").read_text())["batch"] == DEFAULT_BATCH


def test_the_command_line_runs_shares_and_merges_them(made, tmp_path, capsys):
    words = ["eval", "--suite", "quick", "--model", "at-digits", "--limit", "8", "--catalog", str(made[0]), "--quiet"]
    words += ["--runs", str(tmp_path), "--workers", "1"]
    for shard in ("1/2", "2/2"):
        assert run([*words, "--shard", shard]) == 0
    told = capsys.readouterr()
    assert "complete: shard 2/2, 1 block run; when all are: rbench merge" in told.err
    assert told.out.splitlines()[1] == str(place(tmp_path / "shards", 2, 2)).replace("first50", "first8")
    assert run(["merge", str(tmp_path / "shards"), "--runs", str(tmp_path)]) == 0
    assert "2 shards merged; to see the scores: rbench eval --suite quick" in capsys.readouterr().err
    assert run(words) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert run([*words, "--shard", "1/2", "--strict"]) == 3
    assert "--shard goes without --strict" in capsys.readouterr().err
