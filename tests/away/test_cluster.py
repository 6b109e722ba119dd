"""A real Ray cluster of three nodes on this machine: what it computes is what one process computes, whoever is killed.

Nodes have a folder of data of their own, which are not the driver's; one is short of memory where an attack asks.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from quick import contents

import rbench
from rbench.away import hands
from rbench.away.crew import Crew
from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra [ray] is not installed"),
    pytest.mark.filterwarnings("ignore"),  # ray leaves sockets open
]
CODE = """
import os
import time
from pathlib import Path
import numpy as np
import torch
from rbench.attacks.fgsm import fgsm
from rbench.data.arrays import ArrayDataset
from rbench.models.linear import linear

def load():
    value = int(Path(os.environ["RBENCH_DATA"], "value").read_text())
    return ArrayDataset("made", 10, np.full((12, 3, 32, 32), value, dtype=np.uint8), np.arange(12) % 10)

def net():
    torch.manual_seed(0)
    return linear(3 * 32 * 32, 10)

def hungry(model, x, y, threat, *, rng, flag: str):
    if "SCARCE" in os.environ:
        Path(flag).touch()
        raise MemoryError
    while not Path(flag).exists():  # let no other node do all the work before that one has begun
        time.sleep(0.05)
    return fgsm(model, x, y, threat, rng=rng)
"""
SUITE = """
version = 1
title = "shared"
dataset = "{dataset}"
data = {{ use = "{data}", args = {data_args} }}
threat = {{ norm = "linf", eps = "24/255" }}
[probes.clean]
block = 4
[probes.attacked]
block = 4
attack = {{ use = "{attack}", args = {args} }}
[scores.attacked]
use = "rbench.metrics:worst_case"
of = ["clean", "attacked"]
"""
N, MEMORY = 40, 100 * 2**20
DIGITS = {"limit": N, "batch": 4, "workers": 3}  # ten tasks a probe


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """The catalog; its code lies where no worker looks."""
    folder = tmp_path_factory.mktemp("shelf")
    code = folder / "code.py"
    code.write_text(CODE)
    (folder / "suites").mkdir()
    digits = {"dataset": "digits", "data": "rbench.data.digits:digits", "data_args": '{ split = "test" }'}
    made = {"dataset": "made", "data": f"{code}:load", "data_args": "{}"}
    square = {"attack": "rbench.attacks.square:square", "args": "{ queries = 100 }"}
    for name, values in {
        "slow": {**digits, **square},
        "hungry": {**digits, "attack": f"{code}:hungry", "args": f'{{ flag = "{folder}/flag" }}'},
        "made": {**made, "attack": "rbench.attacks.fgsm:fgsm", "args": "{}"},
    }.items():
        (folder / "suites" / f"{name}.toml").write_text(SUITE.format(**values))
    for name, value in (("data", "7"), ("other", "8")):
        (folder / name).mkdir()
        (folder / name / "value").write_text(value)
    return folder


@pytest.fixture(scope="module")
def cluster(shelf):
    """A head with one CPU and two nodes more."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "100000", "RAY_enable_metrics_collection": "0",
        "RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0", "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    before = dict(os.environ)
    os.environ.update(settings)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": MEMORY, "include_log_monitor": False}
    data = {"RBENCH_DATA": str(shelf / "other")}
    head = {**node, "env_vars": data, "include_dashboard": False, "no_monitor": True}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        made.add_node(**node, env_vars={**data, "SCARCE": "1"})
        made.victim = made.add_node(**node, env_vars=data)
        yield made
    finally:
        made.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def whole(shelf, tmp_path_factory):
    """The files of a run of the slow suite in this process."""
    runs = tmp_path_factory.mktemp("whole")
    rbench.evaluate("at-digits", "slow", catalog=Catalog.find([shelf]), runs=runs, **{**DIGITS, "workers": 1})
    return contents(runs)


@pytest.fixture
def lost(monkeypatch):
    """What was said of the workers that were lost."""
    said, bury = [], Crew._bury
    monkeypatch.setattr(
        Crew, "_bury", lambda crew, worker, task, answer: (said.append(answer), bury(crew, worker, task, answer))
    )
    return said


def committed(runs):
    return list(runs.glob("*/*/*/attacked/*.parquet"))


def until(true):
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_driver_that_is_killed_and_run_again_leaves_the_bytes_of_one_process(cluster, shelf, whole, tmp_path):
    words = ["eval", "--suite", "slow", "--model", "at-digits", "--limit", N, "--batch", 4, "--catalog", shelf]
    words += ["--engine", "ray", "--address", cluster.address, "--workers", 2, "--runs", tmp_path]
    process = subprocess.Popen([sys.executable, "-m", "rbench", *map(str, words)], stderr=subprocess.DEVNULL)
    until(lambda: committed(tmp_path) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = len(committed(tmp_path))
    assert before < N // 4
    again = rbench.evaluate(
        "at-digits", "slow", catalog=Catalog.find([shelf]), runs=tmp_path, engine="ray", address=cluster.address,
        **{**DIGITS, "workers": 2},
    )  # fmt: skip
    assert again.fresh_blocks <= N // 4 - before
    assert contents(tmp_path) == whole


def test_want_of_memory_on_one_node_leaves_the_work_to_the_others(cluster, shelf, lost, tmp_path):
    options = {"catalog": Catalog.find([shelf]), "limit": N, "batch": 4}
    far = tmp_path / "far"
    model = f"{shelf / 'code.py'}:net"
    rbench.evaluate(model, "hungry", runs=far, engine="ray", workers=None, address=cluster.address, **options)
    rbench.evaluate(model, "hungry", runs=tmp_path / "near", **options)
    assert contents(far) == contents(tmp_path / "near")
    assert [answer.memory for answer in lost] == [True]


def test_a_node_with_other_data_is_named(cluster, shelf, tmp_path):
    with pytest.raises(MissingError, match=r"on node .+ \([0-9a-f]{8}\): dataset 'made' changed .*: .+, not "):
        rbench.evaluate(
            f"{shelf / 'code.py'}:net", "made", catalog=Catalog.find([shelf]), runs=tmp_path, engine="ray", batch=4,
            address=cluster.address, data_dir=shelf / "data",
        )  # fmt: skip


def test_a_worker_of_another_version_is_refused(cluster, shelf, tmp_path, monkeypatch):
    monkeypatch.setattr("rbench.away.on_ray.versions", lambda: hands.versions() | {"torch": "1.0"})
    with pytest.raises(UsageError, match=r"on node .+: torch is .+, the driver's is 1\.0\. Install the same"):
        rbench.evaluate(
            "at-digits", "slow", catalog=Catalog.find([shelf]), runs=tmp_path, engine="ray", address=cluster.address,
            **{**DIGITS, "workers": 1},
        )  # fmt: skip


def test_work_that_needs_a_gpu_is_refused_where_there_is_none(cluster):
    from rbench.away.on_ray import workers

    with pytest.raises(UsageError, match=r"room for no worker, which asks for 1 CPU and 0.5 GPU: it has 3 CPU and 0"):
        workers(None, cluster.address, "cuda:0", 0.5)


def test_a_node_that_is_killed_amid_the_work_costs_its_block_only(cluster, shelf, whole, lost, tmp_path):
    def kill():
        until(lambda: committed(tmp_path))
        cluster.remove_node(cluster.victim, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    rbench.evaluate(
        "at-digits", "slow", catalog=Catalog.find([shelf]), runs=tmp_path, engine="ray", address=cluster.address,
        **DIGITS,
    )  # fmt: skip
    killer.join()
    assert lost
    assert contents(tmp_path) == whole


def test_an_address_that_nobody_answers_is_named():
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:9 .*--address"):
        rbench.evaluate("at-digits", "digits-linf", limit=1, engine="ray", address="127.0.0.1:9")
