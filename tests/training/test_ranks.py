"""Trainings shared by several processes, as torchrun starts them, with gloo on the CPU."""

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sharing
import torch

from rbench.catalog import Catalog
from rbench.cli import run
from rbench.errors import UsageError
from rbench.training import loop
from rbench.training.batches import Batch, epoch_order, split
from rbench.training.pipeline import Pipeline
from rbench.training.ranks import ALONE, Ranks, chosen, joined, speaks
from rbench.training.setting import prepare
from rbench.training.step import step

NOTING = """
import json, os, sys
from pathlib import Path
from rbench.training import loop
from rbench.cli import main
original = loop.step
seen = []
def step(setting, epoch, iteration, batches, total):
    seen.append((epoch, iteration, [batch.samples.tolist() for batch in batches]))
    if (epoch, iteration) == STOP:
        raise KeyboardInterrupt
    return original(setting, epoch, iteration, batches, total)
loop.step = step
try:
    main(sys.argv[1:])
finally:
    Path(f"seen{os.environ.get('RANK', '0')}.json").write_text(json.dumps(seen))
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def noting(seen, original, stop):
    """A step that notes what it sees, and that is interrupted where it should stop."""

    def step(setting, epoch, iteration, batches, total):
        seen.append([epoch, iteration, [batch.samples.tolist() for batch in batches]])
        if (epoch, iteration) == stop:
            raise KeyboardInterrupt
        return original(setting, epoch, iteration, batches, total)

    return step


def train_alone(shelf, folder, *options, stop=None):
    """The same by this process."""
    words = ["train", "tiny-whole", "--catalog", str(shelf), "--out", str(folder), "--quiet", *options]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", noting(seen, loop.step, stop))
        assert run(words) == (0 if stop is None else 5)
    return [seen]


def train(shelf, folder, world, *options, stop=None):
    """Train `tiny-whole` in `folder` by so many processes; the samples that each of them saw, by rank."""
    folder.mkdir(exist_ok=True)
    (folder / "noting.py").write_text(NOTING.replace("STOP", repr(stop)))
    words = ["train", "tiny-whole", "--catalog", str(shelf), "--out", str(folder), "--quiet", *options]
    shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": str(world)}
    children = []
    for rank in range(world):
        environment = os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        children.append(subprocess.Popen([sys.executable, "noting.py", *words], cwd=folder, env=environment, **streams))
    ends = [child.communicate(timeout=120) for child in children]
    codes = {child.returncode for child in children}
    assert codes == {0 if stop is None else 5}, ends
    return [json.loads((folder / f"seen{rank}.json").read_text()) for rank in range(world)], ends


def metrics(folder):
    with (folder / "tiny-whole" / "seed0" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def batches_of(seen):
    """The samples of each step, those of all ranks together."""
    found = {}
    for rank in seen:
        for epoch, iteration, parts in rank:
            found.setdefault((epoch, iteration), []).extend(sample for part in parts for sample in part)
    return found


def test_two_ranks_see_the_same_samples_and_measure_the_same_within_tolerance(shelf, tmp_path):
    alone = train_alone(shelf, tmp_path / "one")
    shared, ends = train(shelf, tmp_path / "two", 2)
    assert batches_of(alone) == batches_of(shared)
    assert len(batches_of(alone)) == 3 * 6
    sizes = [[sum(map(len, parts)) for _, _, parts in rank] for rank in shared]
    assert all(abs(one - two) <= 1 for one, two in zip(*sizes, strict=True))
    for one, two in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert (one["parts"], two["parts"]) == ("1", "2")
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), abs=0.15)
    assert sum(b"tiny-whole" in out for out, _ in ends) == 1  # only the first rank speaks


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """What one process, and what three that share a training, end with: by world, then rank."""
    folder = tmp_path_factory.mktemp("ends")
    script = Path(__file__).with_name("sharing.py")
    port, children = free_port(), []
    for rank in range(3):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1"}
        environment = os.environ | own | {"MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        words = [sys.executable, str(script), str(folder / f"3-{rank}.pt")]
        children.append(subprocess.Popen(words, env=environment, cwd=script.parent))
    sharing.main(folder / "1-0.pt")
    assert [child.wait(120) for child in children] == [0] * 3
    return {world: [torch.load(folder / f"{world}-{rank}.pt") for rank in range(world)] for world in (1, 3)}


def alike(one, two, **tolerance):
    return one.keys() == two.keys() and all(torch.allclose(one[key], two[key], **tolerance) for key in one)


@pytest.mark.parametrize("what", ["linear", "network", "controller", "taught", "dynamic"])
def test_ranks_end_with_the_same_bits(ends, what):
    first, *others = (rank[what] for rank in ends[3])
    assert all(alike(first, other, rtol=0, atol=0) for other in others)


def test_on_a_linear_model_three_ranks_do_what_one_does(ends):
    """Perturbed weights, clipped gradients and batches that three do not divide; no batch norm looks at its part."""
    (alone,), shared = ends[1], ends[3][0]
    assert alike(alone["linear"], shared["linear"], atol=1e-10)
    assert alone["linear-accuracy"] == shared["linear-accuracy"]
    assert alone["linear-sums"] == pytest.approx(shared["linear-sums"])


def test_weights_of_losses_are_learnt_from_the_whole_batch(ends):
    (alone,), shared = ends[1], ends[3][0]
    assert alike(alone["taught"], shared["taught"], atol=1e-4)
    assert torch.allclose(alone["taught"]["weights"], shared["taught"]["weights"], atol=1e-6)
    assert alone["taught"]["weights"].tolist() != [0.5, 0.5]


def test_running_statistics_are_the_mean_over_the_ranks(ends):
    """Of equal parts, the mean of the means is the mean of the whole batch: the stem sees no earlier batch norm."""
    (alone,), shared = ends[1], ends[3][0]
    key = "blocks.0.bn1.running_mean"
    assert torch.allclose(alone["once"][key], shared["once"][key], atol=1e-6)
    assert not torch.allclose(alone["once"][key], torch.zeros_like(alone["once"][key]))


def test_errors_of_the_first_rank_are_raised_by_all(ends):
    assert [rank["told"] for rank in ends[3]] == ["only the first", "only the first", "only the first"]
    assert [rank["error"] for rank in ends[3]] == ["no space", "no space", "no space"]
    assert [rank["dropout"] == ends[3][0]["dropout"] for rank in ends[3]] == [True, False, False]


def test_a_training_goes_on_with_another_number_of_ranks(shelf, tmp_path):
    train(shelf, tmp_path / "parts", 2, stop=(1, 3))
    kept = metrics(tmp_path / "parts")
    assert [row["parts"] for row in kept] == ["2"]
    train_alone(shelf, tmp_path / "parts", "--accumulate", "2", stop=(2, 1))
    (after,) = train_alone(shelf, tmp_path / "parts")
    assert [(epoch, iteration) for epoch, iteration, _ in after] == [(2, iteration) for iteration in range(6)]
    rows = metrics(tmp_path / "parts")
    assert rows[0] == kept[0]
    assert [row["parts"] for row in rows] == ["2", "2", "1"]
    assert (tmp_path / "parts" / "tiny-whole" / "seed0" / "weights.safetensors").is_file()


def halves(card, recipe, ids, parts):
    """The weights after one step on a batch that was split into so many parts."""
    setting = prepare(card, recipe, 0, accumulate=parts)
    setting.model.double().eval()
    x = torch.from_numpy(setting.data.images(ids)).double() / 255
    y, samples = torch.from_numpy(setting.data.labels[ids]), torch.from_numpy(ids)
    rows = [torch.from_numpy(np.searchsorted(ids, part)) for part in setting.parts(ids)]
    sums = step(setting, 0, 0, [Batch(x[row], y[row], samples[row]) for row in rows], len(ids))
    return [parameter.detach().clone() for parameter in setting.model.parameters()], sums, len(rows)


def test_parts_add_up_to_the_whole_where_no_batch_norm_looks_at_the_batch(recipe):
    """On a linear model nothing depends on who shares a batch, so that accumulation must not matter at all."""
    from rbench.types import Call, ModelCard

    linear = Call("rbench.models.linear:linear", {"features": 3072, "classes": 10})
    card = ModelCard("linear", "Linear", linear, "digits")
    recipe = replace(recipe, ews=None, batch=40)
    ids = np.arange(20)
    whole, sums, count = halves(card, recipe, ids, 1)
    assert count == 1
    for parts in (2, 3, 7):
        split_up, others, count = halves(card, recipe, ids, parts)
        assert count == parts
        assert all(torch.allclose(one, two, atol=1e-12) for one, two in zip(whole, split_up, strict=True))
        assert torch.allclose(sums, others)


def test_a_rank_without_samples_takes_part(card, recipe):
    setting = prepare(card, replace(recipe, batch=4), 0, ranks=Ranks(3, 4))
    assert setting.parts(np.arange(3)) == []
    assert [list(part) for part in prepare(card, replace(recipe, batch=4), 0, ranks=Ranks(1, 2)).parts(np.arange(5))] == [[3, 4]]  # fmt: skip # noqa: E501
    sums = step(replace(setting, ranks=ALONE), 0, 0, [], 3)
    assert sums.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = 0 is no number of processes; start at least 1"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK = 2 is none of the 2 processes"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "but MASTER_ADDR and MASTER_PORT are not set; start ranks by torchrun"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two' must be a whole number"),
    ],
)
def test_impossible_worlds_are_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message), joined("cpu"):
        pass


def test_devices_that_are_not_there_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen(None) == torch.device("cpu")
    with pytest.raises(UsageError, match=r"'cuda' asks for GPU 0, and PyTorch sees none. Leave out --device"):
        chosen("cuda")
    with pytest.raises(UsageError, match="'gpu' is no device"):
        chosen("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen(None, 1) == torch.device("cuda", 1)
    assert chosen("cuda", 1) == torch.device("cuda", 1)
    assert chosen("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="'cuda:0' would be shared by all ranks; write cuda"):
        chosen("cuda:0", 1)
    with pytest.raises(UsageError, match="'meta' cannot be used; choose cpu, cuda"):
        chosen("meta")
    with pytest.raises(UsageError, match="asks for GPU 5, and PyTorch sees only 2"):
        chosen("cuda:5")


def test_more_parts_than_samples_are_refused(card, recipe):
    with pytest.raises(UsageError, match=r"a batch of 40 cannot be split in 30 parts on each of 2 ranks; .* 1 to 20"):
        prepare(card, recipe, 0, ranks=Ranks(0, 2), accumulate=30)


def test_who_speaks(monkeypatch):
    assert speaks()
    monkeypatch.setenv("RANK", "1")
    assert not speaks()


def test_alone_nothing_is_sent():
    value = torch.ones(2)
    assert ALONE.total(value) is value
    ALONE.together([value], 0.5)
    assert value.tolist() == [1, 1]
    assert ALONE.any(wanted=True, device=value.device)
    assert ALONE.told(lambda: 7, value.device) == 7


def test_samples_are_augmented_alike_on_every_rank(card, plain):
    recipe = replace(plain, augment=replace(plain.augment, pad=2))
    data = prepare(card, recipe, 0).data
    pipeline = Pipeline(data, recipe, 0)
    ids = split(epoch_order(np.arange(40), 0, 1), 20)[0]
    whole = pipeline[1, ids].x
    for rank in range(2):
        part = prepare(card, recipe, 0, ranks=Ranks(rank, 2)).parts(ids)[0]
        assert torch.equal(pipeline[1, part].x, whole[10 * rank : 10 * rank + 10])


def test_catalog_of_these_tests_is_sound(shelf):
    assert Catalog((shelf,)).recipe("tiny-whole").awp.gamma == 0.005
