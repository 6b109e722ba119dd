import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rbench.models.preact_resnet import PreActResNet, preact_resnet_small

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Every test has its own runs and sees neither the user's data nor the user's catalogs."""
    monkeypatch.setenv("RBENCH_RUNS", str(tmp_path / "runs"))
    for name in ("RBENCH_DATA", "RBENCH_DOWNLOAD", "RBENCH_CATALOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def small_net() -> PreActResNet:
    """An untrained network with batch norm statistics that are not the initial ones."""
    torch.manual_seed(0)
    net = preact_resnet_small(10, [0.305] * 3, [0.324] * 3, width=4)
    with torch.no_grad():
        for _ in range(5):
            net(torch.rand(32, 3, 32, 32))
    return net.eval()


@pytest.fixture
def rbench(tmp_path):
    """Run the command line in a process of its own, in an empty folder."""

    def call(*words, env=None, cwd=tmp_path, check=None):
        done = subprocess.run(
            [sys.executable, "-m", "rbench", *map(str, words)],
            capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})}, timeout=500, check=False,
        )  # fmt: skip
        if check is not None:
            assert done.returncode == check, done.stderr + done.stdout
        return done

    return call
