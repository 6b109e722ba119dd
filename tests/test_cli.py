"""The command line as a user meets it: in processes of its own, with its exit codes, killed and resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from quick import contents

from rbench.cli import run
from rbench.report import FORMATS
from rbench.store import locked

TORCH_FREE = """
import sys
from rbench.cli import run
for words in {commands!r}:
    assert run(words) == 0, words
heavy = {{"torch", "torchvision", "scipy.stats", "sklearn", "matplotlib", "pandas"}} & sys.modules.keys()
assert not heavy, heavy
assert run(["plan", "--suite", "digits-linf", "--model", "at-digits"]) == 0
assert "torch" not in sys.modules, "by the plan"
"""

SUITE = """
version = 1
title = "killed and resumed"
dataset = "digits"
data = { use = "rbench.data.digits:digits", args = { split = "test" } }
threat = { norm = "linf", eps = "24/255" }
[probes.clean]
[probes.pgd20]
attack = { use = "rbench.attacks.pgd:pgd" }
[probes.square]
block = 4
attack = { use = "rbench.attacks.square:square", args = { queries = 500 } }
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.pgd20]
use = "rbench.metrics:accuracy"
of = ["pgd20"]
[scores.square]
use = "rbench.metrics:accuracy"
of = ["square"]
[scores.worst]
use = "rbench.metrics:worst_case"
of = ["clean", "pgd20", "square"]
"""
N = 16
MODEL = "at-digits"  # stands, so that a block of random search takes most of a second


def call(*words, env=None, cwd=None):
    command = [sys.executable, "-m", "rbench", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})}, cwd=cwd, check=False
    )


def descendants(pid):
    """The processes that a process has started, and that these have."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    near = [child for child, parent in found.items() if parent == pid]
    return near + [each for child in near for each in descendants(child)]


def have_ended(processes):
    deadline = time.monotonic() + 60
    while alive := [pid for pid in processes if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "suites").mkdir()
    (folder / "suites" / "kill.toml").write_text(SUITE)
    return folder


@pytest.fixture(scope="module")
def whole(shelf, tmp_path_factory):
    """The runs of one evaluation that nothing disturbed, in one process."""
    runs = tmp_path_factory.mktemp("whole")
    done = call(*words(shelf, runs), "--workers", 1)
    assert done.returncode == 0, done.stderr
    return runs


@pytest.fixture(scope="module")
def again(shelf, whole):
    """The same command once more, which has nothing left to do, in JSON."""
    return call(*words(shelf, whole), "--json")


def words(shelf, runs):
    words = ["eval", "--suite", "kill", "--model", MODEL, "--limit", N, "--catalog", shelf, "--runs", runs]
    return [*words, "--batch", 4]  # blocks that share a batch are committed together


def test_kill_9_amid_an_attack_ends_the_workers_and_the_same_command_gives_the_same_bytes(shelf, whole, tmp_path):
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "rbench", *map(str, words(shelf, runs)), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(runs.glob("*/*/*/square/*.parquet")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    started = descendants(process.pid)
    assert len(started) == 4  # two workers, the process that they are forks of, multiprocessing's resource tracker
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert have_ended(started)
    assert not list(runs.glob("*/*/*/square/complete.json"))
    before = {name: data for name, data in contents(runs).items() if not name.endswith(".tmp")}
    second = call(*words(shelf, runs), "--workers", 2)
    assert second.returncode == 0, second.stderr
    after = contents(runs)
    assert before.items() <= after.items()
    assert after == contents(whole)
    third = call(*words(shelf, runs))
    assert third.returncode == 0
    assert "complete: nothing to do" in third.stderr
    assert third.stdout == second.stdout
    assert contents(runs) == after


def test_a_polite_kill_prints_the_command_that_resumes(shelf, tmp_path):
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "rbench", *map(str, words(shelf, runs)), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(runs.glob("*/*/*/pgd20/complete.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "To resume: rbench eval --suite kill --model at-digits --limit 16 --catalog" in stderr
    assert "Traceback" not in stderr


def test_a_run_in_use_is_left_to_its_process(shelf, whole, tmp_path, capsys):
    runs = shutil.copytree(whole, tmp_path / "runs")
    (marker,) = runs.glob("*/*/*/square/complete.json")
    marker.unlink()
    before = contents(runs)
    with locked(marker.parents[1]):
        assert run([str(word) for word in words(shelf, runs)]) == 5
    assert "another process is writing" in capsys.readouterr().err
    assert contents(runs) == before


def test_listing_showing_tables_and_reports_do_without_torch(shelf, whole, tmp_path):
    table = ["table", "kill", "--limit", str(N), "--catalog", str(shelf), "--runs", str(whole)]
    commands = [["ls"], ["ls", "models", "--json"], ["show", "ews-digits"], ["show", "digits-linf"], table, ["--help"]]
    commands += [[*table, "--format", form] for form in FORMATS if "latex" not in form]
    commands += [["card", MODEL, "--hf", "--catalog", str(shelf), "--runs", str(whole)]]
    commands += [["report", str(whole), "--html", str(tmp_path / "site"), "--catalog", str(shelf)]]
    done = subprocess.run(
        [sys.executable, "-c", TORCH_FREE.format(commands=commands)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "square" in done.stdout


def test_the_table_prints_what_the_evaluation_printed(shelf, whole, again):
    options = ["--limit", N, "--catalog", shelf, "--runs", whole]
    cells = json.loads(call("table", "kill", *options, "--format", "json").stdout)["cells"][MODEL]
    printed = json.loads(again.stdout)["cells"][MODEL]
    assert {key: printed[key]["value"] for key in cells} == {key: cell["value"] for key, cell in cells.items()}
    text = call("table", "kill", *options, "--format", "markdown").stdout
    for key, cell in cells.items():
        assert cell["n"] == N, key
        assert f"{100 * cell['value']:.1f}" in text
        assert f"[{100 * cell['interval'][0]:.1f}, {100 * cell['interval'][1]:.1f}]" in text
    assert f"ONLY THE FIRST {N} OF 500 SAMPLES" in text


def test_a_subset_is_said_loudly(shelf, whole):
    done = call(*words(shelf, whole))
    assert f"WARNING: numbers of a subset (--limit {N})" in done.stderr
    assert "ONLY THE FIRST" in done.stdout


def test_an_empty_table_prints_the_commands_that_fill_it(tmp_path):
    done = call("table", "digits-main", "--runs", tmp_path)
    assert done.returncode == 0
    assert "nothing run yet" in done.stdout
    for model in ("standard-digits", "at-digits", "ews-digits"):
        assert f"rbench eval --suite digits-linf --model {model} --runs {tmp_path}" in done.stdout


EVAL = ["eval", "--suite", "digits-linf", "--model", "at-digits"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["evl"], 3, "No such command 'evl'"),
        ([*EVAL, "--limti", "5"], 3, "No such option: --limti"),
        ([*EVAL, "--limit", "many"], 3, "Invalid value for '--limit'"),
        ([*EVAL, "--eps", "8"], 3, "Did you mean '8/255'?"),
        ([*EVAL, "--eps", "eight"], 3, "eps = 'eight' is not a number"),
        (["eval", "--suite", "digits-lnf", "--model", "at-digits"], 3, "Did you mean 'digits-linf'?"),
        (["eval", "--suite", "digits-linf", "--model", "at-digit"], 3, "Did you mean 'at-digits'?"),
        (["eval", "--model", "at-digits"], 3, "missing option '--suite'"),
        (["show", "digits-linff"], 3, "Did you mean 'digits-linf'?"),
        (["ls", "modles"], 3, "Did you mean 'models'?"),
        (["table", "digits-main", "--format", "latx"], 3, "Did you mean 'latex'?"),
        (["train", "ews-digit"], 3, "Did you mean 'ews-digits'?"),
        (["eval", "--suite", "cifar10-linf", "--model", "ews-wrn34"], 4, "rbench train ews-wrn34"),
        (["train", "ews-wrn34", "--data-dir", "nowhere"], 4, "no intact CIFAR10"),
        ([*EVAL, "--runs", "/proc/nowhere"], 4, "cannot write /proc/nowhere"),
    ],
)
def test_mistakes_get_one_sentence_and_their_exit_code(words, code, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(words) == code
    out, err = capsys.readouterr()
    assert sentence in " ".join(err.split())
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["evl"], 3, "No such command 'evl'"),
        (["ls", "modles"], 3, "Did you mean 'models'?"),
        (["train", "ews-wrn34", "--data-dir", "nowhere"], 4, "no intact CIFAR10"),
    ],
)
def test_a_process_leaves_with_the_exit_code_and_no_traceback(words, code, sentence, tmp_path):
    done = call(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_strict_leaves_with_2_on_a_suspect_number(tmp_path):
    (tmp_path / "saturated.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Saturated(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(3072, 10)\n"
        "    def forward(self, x):\n        return 1000 * self.fc(x.flatten(1))\n\n"
        "def net():\n    torch.manual_seed(0)\n    return Saturated()\n"
    )
    square = SUITE[SUITE.index("[probes.square]") : SUITE.index("[scores.clean]")]
    suite = SUITE.replace(square, "").split("[scores.square]")[0]
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "quick.toml").write_text(suite)
    command = [
        "eval",
        "--suite",
        "quick",
        "--model",
        "saturated.py:net",
        "--catalog",
        tmp_path,
        "--runs",
        "r",
        "--strict",
        "--workers",
        "1",
    ]
    done = call(*command, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "†" in done.stdout


def test_version_and_results_on_stdout_progress_on_stderr(again):
    assert call("--version").stdout.startswith("rbench 0.")
    assert json.loads(again.stdout)["name"] == "kill"
