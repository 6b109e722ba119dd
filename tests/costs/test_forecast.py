"""Hours from batches whose times are given, the memory of a network that can be summed by hand, and the command."""

import json

import pytest
import torch
from darker import shelve
from torch import nn

import rbench
from rbench import cli
from rbench.cli.planning import lines, table
from rbench.costs.forecast import Left, Timed, forecast
from rbench.costs.paper import cost
from rbench.costs.timing import memory
from rbench.errors import ModelError, UsageError
from rbench.planning import TimedPlan
from rbench.progress import lasting
from rbench.types import Call, Probe

PGD = Probe("pgd", Call("rbench.attacks.pgd:pgd", {"steps": 3}))
CLEAN, THEIRS = Probe("clean"), Probe("theirs", Call("theirs.py:attack"))
FOUND = Timed(50, "cpu", (1.0, 2.0), {(): (10.0, 20.0)}, {(): (40.0, 50.0)}, {p.name: (0.5, 0.25) for p in (PGD, CLEAN, THEIRS)}, 0)  # fmt: skip # noqa: E501


def left(probe, samples):
    return Left(probe, cost(probe, 10), samples)


def test_seconds_by_hand():
    """Of four forwards and three backwards, a backward being what a gradient takes more than a forward."""
    found = forecast("m", [left(PGD, 5), left(CLEAN, 7)], FOUND)
    first = 5 * (0.5 + 2 * 1 + 4 * 10 + 3 * 30) + 7 * (0.5 + 2)
    second = 5 * (0.25 + 2 * 2 + 4 * 20 + 3 * 30) + 7 * (0.25 + 4)
    assert found.seconds == (first, second)
    assert not found.exact
    assert forecast("m", [left(CLEAN, 7), left(PGD, 0)], FOUND).exact


def test_what_is_not_known_is_named_and_adds_nothing():
    found = forecast("m", [left(THEIRS, 5), left(CLEAN, 7)], FOUND)
    assert found.unknown == ("theirs",)
    assert found.seconds[0] == 7 * 2.5
    assert not found.exact
    assert forecast("m", [left(THEIRS, 0)], FOUND).unknown == ()


def test_workers_share_the_seconds_but_no_more_than_there_are_cores():
    one = forecast("m", [left(CLEAN, 10)], FOUND)
    assert TimedPlan([], [one, one], 4, 2).seconds == (25.0, 42.5)
    assert TimedPlan([], [one], 1, 1).seconds == (25.0, 42.5)


def test_a_busy_machine_is_said_to_be_busy():
    one = forecast("m", [left(CLEAN, 10)], FOUND)
    idle, busy = (list(lines(TimedPlan([], [one], 4, 2, load))) for load in (0.1, 3.0))
    assert [line for line in busy if line not in idle] == ["The machine was busy (load 3.0 in the minute before): whoever shares it takes longer."]  # fmt: skip # noqa: E501
    assert "left: 12 s to 21 s by 2 workers that never wait (4 share 2 cores), by the quicker and the slower batch." in idle  # fmt: skip # noqa: E501


def test_memory_by_hand():
    """A frozen layer keeps its weights, which are counted once; ReLU keeps what it returns, the loss its logits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 1000), nn.ReLU(), nn.Linear(1000, 10)).requires_grad_(False)
    x, y = torch.rand(20, 3, 4, 4), torch.zeros(20, dtype=torch.long)
    weights, images = 48 * 1000 + 1000 + 1000 * 10 + 10, 20 * 48
    least = 4 * (weights + images + images + 20 * 1000 + 20 * 10)
    assert least <= memory(net, x, y) <= least + 8 * 20 + 4 * 2  # the labels, and the loss's own weight
    assert memory(net, x[:10], y[:10]) < memory(net, x, y)


def test_the_words_of_a_plan(suite, tmp_path, capsys):
    (tmp_path / "theirs.py").write_text("def attack(model, x, y, threat, *, rng):\n    return x\n")
    suite(f"{tmp_path / 'theirs.py'}:attack", "{}")
    words = ["plan", "--suite", "quick", "--model", "at-digits", "--limit", "25", "--catalog", str(tmp_path / "shelf")]
    assert cli.run(words) == 0
    clean, first, theirs, total = (line.split() for line in capsys.readouterr().out.splitlines()[2:6])
    assert clean == ["clean", "none", "0", "25", "3", "0", "0", "2", "exact", "50", "0"]
    assert first == ["first", "fgsm", "0", "25", "3", "1", "1", "2", "standing", "75", "25"]
    assert theirs[2:] == ["0", "25", "3", "?", "?", "2", "not", "known", "?", "?"]
    assert total == ["sum", "0", "75", "9", "at", "most,", "but", "for", "1", "not", "known", "125", "25"]
    assert cli.run([*words, "--json"]) == 0
    assert [row["forwards"] for row in json.loads(capsys.readouterr().out)] == [50, 75, None]
    assert cli.run([*words, "--workers", "2"]) == 3
    assert "--workers goes with --time" in capsys.readouterr().err


def test_a_sum_of_exact_ones_is_exact_and_what_is_done_binds_nobody():
    row = {"probe": "a", "attack": "none", "done": 3, "left": 0, "blocks": 0, "bound": "not known", "forwards": None}
    assert table([row, {**row, "left": 4, "bound": "exact", "forwards": 8}]).splitlines()[4].split()[4] == "exact"


def test_a_plan_is_timed_without_a_trace(suite, tmp_path, capsys):
    suite()
    words = ["plan", "--suite", "quick", "--model", "at-digits", "--limit", "25", "--catalog", str(tmp_path / "shelf")]
    words += ["--time", "--workers", "2", "--batch", "10"]
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert "at-digits on cpu, two batches of 10" in out
    assert "memory of a gradient" in out
    assert "left: at most" in out
    assert not (tmp_path / "runs").exists()
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["workers"] == 2
    assert 0 < told["seconds"][0] <= told["seconds"][1]
    assert told["forecasts"][0]["timed"]["memory"] > 0
    assert [row["probe"] for row in told["jobs"]] == ["clean", "first", "second"]
    assert cli.run([*words[:-1], "auto"]) == 0
    assert "two batches of 4" in capsys.readouterr().out  # 25 images give two workers no four batches of more


def test_views_are_timed_without_gradients_and_both_models(tmp_path, monkeypatch, small_net):
    monkeypatch.chdir(tmp_path)
    catalog = shelve(tmp_path)
    found = rbench.timed_plan("at-digits", "views", limit=12, workers=1, catalog=catalog)
    assert [each.model for each in found.forecasts] == ["standard-digits", "at-digits"]
    assert found.exact
    timed = found.forecasts[1].timed
    assert (timed.forwards, timed.gradients, timed.memory) == ({}, {}, 0)
    assert timed.making.keys() == {"clean", "one", "two", "film"}
    rbench.evaluate("at-digits", "views", limit=12, catalog=catalog)
    assert rbench.timed_plan("at-digits", "views", limit=12, workers=1, catalog=catalog).forecasts == []
    with pytest.raises(UsageError, match="workers = 0"):
        rbench.timed_plan("at-digits", "views", limit=12, workers=0, catalog=catalog)


def test_times_in_words():
    assert [lasting(s) for s in (0.012, 59.4, 61, 599.4, 3000, 7300)] == [
        "0.012 s", "59 s", "1 min 1 s", "9 min 59 s", "50 min", "2.0 h",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_that_does_not_fit_is_told_to_be_smaller(error, monkeypatch, tmp_path):
    def scarce(*_):
        raise ModelError("the model fails on images") from error

    monkeypatch.setattr("rbench.costs.timing.logits_of", scarce)
    with pytest.raises(UsageError, match="a batch of 9 does not fit cpu; name a smaller --batch"):
        rbench.timed_plan("at-digits", "digits-linf", probes=("clean",), limit=9, batch=9, device="cpu", runs=tmp_path)
