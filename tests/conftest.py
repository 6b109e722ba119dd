import gc

import pytest
import torch
from quick import SUITE

from rbench.catalog import Catalog
from rbench.models.preact_resnet import PreActResNet, preact_resnet_small
from rbench.training import keeping


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What is collected stays; the collector of garbage would look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small networks gain nothing from a second thread, and crowded machines lose a lot."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _undrawn():
    """Drawing its curve takes longer than many a training here; tests/training/test_loop.py draws one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "draw", lambda *_: b"no picture")
        yield


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
def suite(tmp_path):
    """Write the suite `quick` with one attack of the test's choice; returns the catalog."""

    def write(attack="rbench.attacks.pgd:pgd", args="{ steps = 3 }", norm="linf", eps="24/255"):
        folder = tmp_path / "shelf" / "suites"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "quick.toml").write_text(SUITE.format(attack=attack, args=args, norm=norm, eps=eps))
        return Catalog.find([tmp_path / "shelf"])

    return write
