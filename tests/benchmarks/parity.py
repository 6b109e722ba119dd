"""Native AutoAttack beside its authors' code, on the same samples: prints the table of the README.

Run with: python tests/benchmarks/parity.py [--limit N] [--only at-digits-linf ...] [--runs FOLDER] [--workers K]

Both sides are ordinary runs, so that an interrupted table resumes; seconds add up over the interruptions.
"""

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn

import rbench
from rbench.agreement import compare
from rbench.catalog import Catalog
from rbench.data.arrays import ArrayDataset
from rbench.evaluating import Evaluation
from rbench.models.load import fill, read_weights
from rbench.models.resnet import resnet18
from rbench.store import Run

HERE = Path(__file__).resolve()
PHOTOGRAPHS = 16  # of a network whose pass takes a hundred times that of the small ones
WEIGHTS = "399f52da9f914c323fa5a6096d60f460a3449a59b64a6405200c1e629f8425a7"
NATIVE = '"rbench.attacks.autoattack:autoattack"'
THREE = (
    '"rbench.backends.pyautoattack:autoattack", args = { version = "custom", attacks = ["apgd-ce", "fab-t", "square"] }'
)
SUITE = """
version = 1
title = "parity"
dataset = "{dataset}"
data = {{ use = "{data}", args = {{ {args} }} }}
threat = {{ norm = "{norm}", eps = "{eps}" }}
[probes.clean]
[probes.ensemble]
block = 50
attack = {{ use = {attack} }}
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.ensemble]
use = "rbench.metrics:accuracy"
of = ["ensemble"]
"""


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, a norm and an eps on some data."""

    name: str
    model: str
    norm: str
    eps: str
    data: str = "rbench.data.digits:digits"
    args: str = 'split = "test"'
    most: int = 500
    reference: str = ""  # an attack to compare with, where the backend has no counterpart

    @property
    def key(self) -> str:
        """What `--only` names it by."""
        return f"{self.name}-{self.norm}-{self.eps.replace('/', '_')}"


def masked() -> nn.Module:
    """`at-digits` at a temperature of 1/1000: the cross-entropy saturates in float32."""
    return Scaled(rbench.load_model("at-digits"), 1000.0)


def three() -> nn.Module:
    """`at-digits` restricted to the digits 3, 5 and 8: too few classes for the targeted DLR loss."""
    return Restricted(rbench.load_model("at-digits"), (3, 5, 8))


def shipped() -> nn.Module:
    """The ResNet-18 for CIFAR-10 that pyautoattack ships beside its example."""
    package = importlib.util.find_spec("pyautoattack")
    assert package is not None
    path = Path(package.submodule_search_locations[0]) / "examples" / "model_test.pt"
    model = resnet18(10)
    fill(model, read_weights(path, WEIGHTS), path)
    return model.eval()


class Scaled(nn.Module):
    """A model with its logits multiplied."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        return self.factor * self.inner(x)


class Restricted(nn.Module):
    """A model that knows some of its classes only."""

    def __init__(self, inner: nn.Module, classes: tuple[int, ...]) -> None:
        super().__init__()
        self.inner, self.classes = inner, classes

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, number of classes kept]."""
        return self.inner(x)[:, list(self.classes)]


@lru_cache(maxsize=1)
def photographs(count: int = PHOTOGRAPHS) -> ArrayDataset:
    """The 32x32 tiles of scikit-learn's two photographs of which `shipped` is surest, with the labels that it gives."""
    from sklearn.datasets import load_sample_images

    tiles = []
    for image in load_sample_images().images:
        height, width = (side // 32 for side in image.shape[:2])
        grid = image[: 32 * height, : 32 * width].reshape(height, 32, width, 32, 3)
        tiles.append(grid.transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32))
    pixels = np.concatenate(tiles)
    model = shipped()
    with torch.no_grad():
        logits = torch.cat([model(part.float() / 255) for part in torch.from_numpy(pixels).split(64)])
    top = logits.topk(2, dim=1).values
    surest = (top[:, 0] - top[:, 1]).argsort(descending=True, stable=True)[:count].numpy()
    return ArrayDataset("photographs", 10, pixels[surest], logits.argmax(1).numpy()[surest])


def rows() -> list[Row]:
    """The table: five digits models in both norms, and the network of the package on photographs."""
    budgets = (("linf", "24/255"), ("l2", "1.5"))
    named = [("at-digits", "at-digits"), ("ews-digits", "ews-digits"), ("standard-digits", "standard-digits")]
    named += [("at-digits, logits x 1000", f"{HERE}:masked")]
    found = [
        Row(name.replace(", logits x 1000", "-masked"), model, *budget) for name, model in named for budget in budgets
    ]
    few = 'split = "test", only = [3, 5, 8]'
    found += [Row("at-digits-3-classes", f"{HERE}:three", *budget, args=few, reference=THREE) for budget in budgets]
    wild = {"data": f"{HERE}:photographs", "args": "", "most": PHOTOGRAPHS}
    small = (("linf", "8/255"), ("linf", "1/255"), ("l2", "1/4"))
    return found + [Row("resnet18-photographs", f"{HERE}:shipped", *budget, **wild) for budget in small]


def shelf(folder: Path, wanted: list[Row]) -> Catalog:
    """Write the suites of some rows."""
    (folder / "suites").mkdir(parents=True, exist_ok=True)
    for row in wanted:
        dataset = "digits" if "digits" in row.data else "photographs"
        fields = {"dataset": dataset, "data": row.data, "args": row.args, "norm": row.norm, "eps": row.eps}
        for kind, attack in (("native", NATIVE), ("reference", row.reference or NATIVE)):
            (folder / "suites" / f"{row.key}-{kind}.toml").write_text(SUITE.format(attack=attack, **fields))
    return Catalog.find([folder])


class Clock:
    """Seconds of each run, kept beside the runs, since a resumed run has taken more than its last part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def evaluate(self, key: str, *args: object, **options: object) -> Evaluation:
        """An evaluation whose seconds are added to its entry, whatever its end."""
        start = time.perf_counter()
        try:
            run = rbench.evaluate(*args, **options)
        except BaseException:
            self._add(key, start)
            raise
        if run.fresh_blocks:
            self._add(key, start)
        return run

    def _add(self, key: str, start: float) -> None:
        self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - start
        self.path.write_text(json.dumps(self.seconds, indent=1))


def measure(row: Row, catalog: Catalog, runs: Path, limit: int | None, workers: int | None, clock: Clock) -> list[str]:
    """One line of the table."""
    n = min(limit or row.most, row.most)
    options = {"limit": n, "runs": runs, "workers": workers, "catalog": catalog, "progress": True}
    keys = [f"{row.key} n={n} {kind}" for kind in ("native", "reference")]
    native = clock.evaluate(keys[0], row.model, f"{row.key}-native", **options)
    backend = None if row.reference else "pyautoattack"
    theirs = clock.evaluate(keys[1], row.model, f"{row.key}-reference", backend=backend, **options)
    both = [Run(side.folder).outcomes("ensemble") for side in (native, theirs)]
    found = compare(row.key, *both)
    passes = [f"{side.forwards.sum():,} / {side.backwards.sum():,}" for side in both]
    return [
        row.name,
        f"{'L-inf' if row.norm == 'linf' else 'L2'} {row.eps}",
        str(found.native.n),
        f"{100 * native.scores['clean'].value:.1f}",
        f"{100 * found.native.value:.1f}",
        f"{100 * found.theirs.value:.1f}",
        f"{100 * (found.native.value - found.theirs.value):+.1f}",
        f"{100 * found.share:.1f}",
        *passes,
        *(f"{clock.seconds.get(key, float('nan')):,.0f}" for key in keys),
    ]


HEAD = ["model", "eps", "n", "clean", "rbench", "pyautoattack", "difference", "agreement"]
HEAD += ["forwards / backwards: rbench", "pyautoattack", "seconds: rbench", "pyautoattack"]


def main(words: list[str]) -> None:
    """Print the table, line by line on stderr and whole on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="only the first N samples of each row")
    parser.add_argument("--only", action="append", help="only rows whose key begins so; --list shows the keys")
    parser.add_argument("--list", action="store_true", help="list the keys of the rows")
    parser.add_argument("--runs", type=Path, default=Path("runs/parity"))
    parser.add_argument("--workers", type=int, help="processes; one a core by default")
    given = parser.parse_args(words)
    wanted = [row for row in rows() if not given.only or any(row.key.startswith(start) for start in given.only)]
    if given.list or not wanted:
        print("\n".join(row.key for row in rows()))
        return
    catalog = shelf(given.runs / "shelf", wanted)
    clock = Clock(given.runs / "seconds.json")
    table = []
    for row in wanted:
        table.append(measure(row, catalog, given.runs, given.limit, given.workers, clock))
        print(*table[-1], sep=" | ", file=sys.stderr)
    print(tabulate(table, HEAD, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
