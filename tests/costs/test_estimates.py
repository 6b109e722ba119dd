"""The arithmetic of two benchmarks: blocks dealt out to workers, and the forwards of ImageNet-C."""

import importlib.util
from pathlib import Path

import pytest

from rbench.catalog import Catalog


def script(name):
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_blocks_are_dealt_to_whoever_is_free():
    """Four seconds of start; two workers take three of five equal blocks, and each sets up once."""
    groups = {"many": [1.0] * 5, "one": [2.0]}
    simulated = script("scaling").simulated
    assert simulated(11.0, 0.5, groups, 1) == 11
    assert simulated(11.0, 0.5, groups, 2) == 4 + 0.5 + 3 + 2
    assert simulated(11.0, 0.5, groups, 5) == 4 + 0.5 + 1 + 0.5 + 2 - 0.5
    assert simulated(6.0, 0.5, {"one": [2.0]}, 4) == 6  # a lone block is no work for a pool


def test_a_slow_block_holds_only_its_worker():
    assert script("scaling").simulated(8.0, 0.0, {"many": [5.0, 1, 1, 1]}, 2) == 5


def test_imagenet_c_by_hand():
    """75 cells of 50,000 images, and the clean ones, which are judged twice as in all evidence."""
    suite = Catalog.find().suite("imagenet-c")
    assert script("imagenet_c").forwards(suite) == (75 + 2) * 50_000


@pytest.mark.parametrize(("workers", "ms"), [(1, 5.0), (4, 1.25), (8, 1.0)])
def test_the_gpu_or_its_workers_set_the_pace(workers, ms):
    assert script("imagenet_c").pace(0.004, 1000, workers) == pytest.approx(ms / 1e3)
