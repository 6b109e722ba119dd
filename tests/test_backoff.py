"""Want of memory in the middle of a run: smaller batches, the same rows, and a sentence where nothing helps."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from loopback import looped
from pandas.testing import assert_frame_equal
from quick import contents
from torch import nn

import rbench
from rbench import cli
from rbench.backoff import BackOff
from rbench.bench import Source, set_up
from rbench.data.digits import digits
from rbench.engine import run_blocks
from rbench.errors import AttackError, ScarceError
from rbench.fitting import auto, sparing
from rbench.parted import Parted
from rbench.progress import Silent
from rbench.types import Call, Job, Probe, Threat
from rbench.workers import Workers

MODEL = """
import os, torch
from rbench.data.digits import digits
from rbench.models.linear import Linear

class Tight(Linear):
    def forward(self, x):
        if len(x) > int(os.environ.get("ROOM", 99)) and (x.requires_grad or os.environ.get("ALWAYS")):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(x)

def tight():
    # Logits fall with the distance to the mean of a class, so that most images are right, and attacked.
    data = digits("test")
    x, y = torch.from_numpy(data.images(range(500))).flatten(1) / 255, torch.from_numpy(data.labels)
    means = torch.stack([x[y == k].mean(0) for k in range(10)])
    model = Tight(3 * 32 * 32, 10).requires_grad_(False)
    model.classifier.weight.copy_(means)
    model.classifier.bias.copy_(-means.square().sum(1) / 2)
    return model
"""


@pytest.fixture(autouse=True)
def _no_garbage(monkeypatch):
    """To collect garbage takes long among everything that tests have imported."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.fixture
def evaluated(suite, tmp_path, monkeypatch):
    """Evaluate a model that has room for so many images; returns what the run folder holds."""
    (tmp_path / "own.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    catalog = suite()

    def evaluate(name, batch, room=99, **options):
        monkeypatch.setenv("ROOM", str(room))
        rbench.evaluate("own.py:tight", "quick", limit=40, batch=batch, runs=name, catalog=catalog, **options)
        return contents(name)

    return evaluate


def rows(found):
    return {name: data for name, data in found.items() if name.endswith(".parquet")}


def test_a_run_that_backs_off_stores_the_bytes_of_one_in_small_batches(evaluated, caplog):
    small = evaluated("small", 10)
    short = evaluated("short", 40, room=10)
    assert len(rows(small)) == 12
    assert rows(short) == rows(small)
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in told] == [
        "out of memory on cpu with batches of 40; 20 from here on",
        "out of memory on cpu with batches of 20; 10 from here on",
    ]


def test_workers_elsewhere_back_off_too(evaluated, monkeypatch, tmp_path):
    small = evaluated("small", 10)
    looped(monkeypatch, tmp_path / "store")
    assert rows(evaluated("far", 40, room=10, engine="ray")) == rows(small)


def test_a_model_that_not_even_looks_at_a_batch_is_shown_it_in_parts(evaluated, monkeypatch):
    monkeypatch.setenv("ALWAYS", "1")
    whole, parted = evaluated("whole", 20), evaluated("parted", 20, room=10)
    assert rows(whole).keys() == rows(parted).keys()
    found = [rbench.frames(name).samples for name in ("whole", "parted")]
    assert_frame_equal(*found)  # floats but for rounding


def test_where_no_single_image_fits_a_sentence_says_so_and_what_was_committed_is_resumed(
    evaluated, monkeypatch, capsys, tmp_path
):
    whole = evaluated("whole", 40)
    words = ["eval", "--suite", "quick", "--model", "own.py:tight", "--limit", "40", "--batch", "40", "--runs", "tight"]
    words += ["--catalog", str(tmp_path / "shelf"), "--workers", "1", "--quiet"]
    monkeypatch.setenv("ROOM", "0")
    assert cli.run(words) == 5
    said = capsys.readouterr().err
    assert "out of memory on cpu (CUDA out of memory): probe 'first' does not fit even in batches of 1." in said
    assert "fewer --workers." in said
    assert "To resume: rbench eval --suite quick" in said
    before = rows(contents("tight"))
    assert {Path(name).parts[-2] for name in before} == {"clean"}
    monkeypatch.setenv("ROOM", "99")
    assert cli.run(words) == 0
    assert before.items() <= contents("tight").items()
    assert contents("tight") == whole


class Two(NamedTuple):
    model: nn.Module


@dataclass(frozen=True)
class Plain:
    """As much of a bench as one needs to back off."""

    batch: int
    own: Two = field(default_factory=lambda: Two(nn.Identity()))
    surrogates: dict = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def job(**options):
    probe = Probe("p", Call("rbench.attacks.fgsm:fgsm"), block=5)
    return replace(Job("m", "w", "s", probe, Threat("linf", "8/255"), "d", "c", 0), **options)


def blocks(count):
    return [range(5 * i, 5 * i + 5) for i in range(count)]


class Crowded:
    """Blocks that have room for so many samples at once; notes what was run."""

    def __init__(self, room):
        self.room, self.tried, self.done = room, [], []

    def __call__(self, bench, _job, group):
        self.tried.append(len(group))
        samples = sum(map(len, group))
        if min(bench.batch, samples) > self.room(group):
            raise AttackError("the attack crashed") from torch.OutOfMemoryError("CUDA out of memory.")
        self.done += group
        return [block.start for block in group]


def test_blocks_that_are_done_are_not_run_again_and_the_smaller_batch_is_kept():
    """The second quarter of the first group is the one that has room for ten only."""
    run = Crowded(lambda group: 10 if group[0].start == 20 else 20)
    own = BackOff(Plain(40))
    assert own.run(run, (job(), blocks(8))) == [block.start for block in blocks(8)]
    assert run.tried == [8, 4, 4, 2, 2]
    assert run.done == blocks(8)
    run.tried.clear()
    assert own.run(run, (job(), blocks(4))) == [0, 5, 10, 15]
    assert run.tried == [2, 2]


def test_a_block_larger_than_the_batch_is_attacked_in_parts():
    run = Crowded(lambda _: 1)
    assert BackOff(Plain(40)).run(run, (job(), blocks(2))) == [0, 5]
    assert run.tried == [2, 1, 1, 1, 1]  # in batches of 10, 5, 2, 1, and the second block


def test_with_workers_the_results_before_the_want_of_memory_are_kept():
    run = Crowded(lambda group: 0 if group[0].start == 10 else 99)
    found = []
    with (
        Workers(1, lambda _: None, Plain(10), lambda _: None) as pool,
        pytest.raises(ScarceError, match="batches of 1"),
    ):
        found += pool.map(run, [(job(), [block]) for block in blocks(4)])
    assert run.done == blocks(2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (job(draws=5), r"random models.*--fresh --batch 20"),
        (
            job(probe=Probe("p", Call("rbench.backends.torchattacks:attack"), block=5)),
            "another package's attack on all 5",
        ),
    ],
)
def test_what_smaller_batches_would_change_is_not_run_in_smaller_batches(asked, said):
    run = Crowded(lambda _: 1)
    with pytest.raises(ScarceError, match=said):
        BackOff(Plain(40)).run(run, (asked, blocks(2)))
    assert run.tried == [2]


def test_other_errors_and_other_work_pass():
    def fails(_bench, *_task):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        BackOff(Plain(40)).run(fails, (job(), blocks(1)))
    assert BackOff(7).run(lambda bench, number: bench * number, (3,)) == 21


class Judged(nn.Module):
    """Sums of pixels as logits of whole numbers' size, with room for so many images."""

    room = 99

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3072, 10, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        if len(x) > self.room:
            raise torch.OutOfMemoryError
        return x.flatten(1) @ self.weight


def test_the_judge_sees_as_many_images_at_once_as_fit(monkeypatch):
    data = digits("test")
    bench = set_up(Source(Judged, lambda: data, data.digest, "cpu"), (), 20, 20, lambda _: None)
    asked = job(probe=Probe("clean", block=10))
    group = [range(10), range(10, 20)]
    whole = run_blocks(bench, asked, group)
    monkeypatch.setattr(bench.model, "room", 3)
    parts = BackOff(bench).run(run_blocks, (asked, group))
    for one, other in zip(whole, parts, strict=True):
        assert (one.sample == other.sample).all()
        assert (one.pred == other.pred).all()
        assert np.allclose(one.margin, other.margin)


def test_parts_of_a_model_have_its_gradient():
    x = torch.rand(7, 3, 32, 32, requires_grad=True)
    model, seen = Judged(), []
    model.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0])))
    weights = torch.randn(7, 10)
    (whole,) = torch.autograd.grad((model(x) * weights).sum(), x)
    seen.clear()
    (parts,) = torch.autograd.grad((Parted(model, 3)(x) * weights).sum(), x)
    assert torch.allclose(whole, parts, atol=1e-5)
    assert sorted(seen) == [1, 1, 3, 3, 3, 3]  # each of the parts forwards, and again on the way back


@pytest.mark.parametrize(("room", "draws", "calls"), [(99, 1, 1), (20, 1, 3), (0, 1, 7), (20, 5, 1)])
def test_a_look_at_all_images_is_had_in_parts_where_it_must(room, draws, calls, monkeypatch):
    monkeypatch.setattr(Judged, "room", room)
    tried = []

    def look(source):
        tried.append(source)
        source.model()(torch.rand(40, 3, 32, 32))

    source = Source(Judged, lambda: None, "", "cpu", draws=draws)
    if room >= 99 or (room and draws == 1):
        sparing(look, source)
    else:
        with pytest.raises(ScarceError, match=r"out of memory on cpu .*fewer --workers\."):
            sparing(look, source)
    assert len(tried) == calls


@pytest.mark.parametrize(("workers", "room", "most"), [(1, 99, 100), (2, 99, 13), (1, 20, 100)])
def test_auto_measures_the_model_itself_up_to_a_share_for_each_worker(workers, room, most, monkeypatch):
    """Also where 50 images at once have no room: the sizes that are tried begin below."""
    monkeypatch.setattr(Judged, "room", room)
    asked = []
    monkeypatch.setattr("rbench.tuning.auto_batch", lambda model, x, most: asked.append((model, most)) or (7, "played"))
    data = digits("test")
    assert auto(Source(Judged, lambda: data, data.digest, "cpu"), 100, workers, Silent()) == 7
    assert asked[0][1] == most
    assert not isinstance(asked[0][0], Parted)


def test_auto_keeps_what_it_chose_and_says_it(suite, tmp_path, monkeypatch, capsys):
    suite()
    words = ["eval", "--suite", "quick", "--model", "standard-digits", "--limit", "20", "--batch", "auto"]
    words += ["--catalog", str(tmp_path / "shelf"), "--workers", "1"]
    assert cli.run(words) == 0
    assert "batch 10: the fastest of 10" in capsys.readouterr().err
    whole = contents(tmp_path / "runs")
    (settings,) = (data for name, data in whole.items() if name.endswith("settings.json"))
    assert b'"batch": 10' in settings
    monkeypatch.setattr("rbench.tuning.auto_batch", None)  # it is measured once
    for path in [
        *(tmp_path / "runs").rglob("second/complete.json"),
        *(tmp_path / "runs").rglob("second/000010.parquet"),
    ]:
        path.unlink()
    assert cli.run(words) == 0
    assert contents(tmp_path / "runs") == whole


@pytest.mark.parametrize("given", ["0", "many", "-1", "1.5"])
def test_a_batch_that_is_no_number_is_refused(given, capsys):
    assert cli.run(["eval", "--suite", "digits-linf", "--model", "at-digits", "--batch", given]) == 3
    assert f"batch = {given} must be at least 1, or auto." in capsys.readouterr().err


def test_shares_are_not_measured(capsys):
    words = ["eval", "--suite", "digits-linf", "--model", "at-digits", "--batch", "auto", "--shard", "1/2"]
    assert cli.run(words) == 3
    assert "name a number" in capsys.readouterr().err
