"""What the tests of `rbench corrupt` share: loaders to point at, interruptions, and what must have been made."""

from contextlib import contextmanager

import numpy as np
import pytest
from quick import contents

from rbench import corrupt
from rbench.corruptions.generators import Generator
from rbench.data.digits import digits

TWO = ("pixelate", "brightness")
ARRAYS = """
from pathlib import Path
import numpy as np
from rbench.data.arrays import ArrayDataset
from rbench.data.image_files import ImageFiles, Square

def images(shape, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, (7, *shape))
    return (values / 255).astype(dtype) if dtype != np.uint8 else values.astype(np.uint8)

def colour():
    return ArrayDataset("seven", 300, images((3, 32, 40)), np.arange(7) * 43)

def files():
    folder = Path(__file__).parent / "val"
    paths = tuple(sorted(folder.rglob("*.png")))
    return ImageFiles("files", 2, paths, np.array([0, 0, 1]), Square(32), ("n00000004", "n00000007"))

def grey():
    return ArrayDataset("grey", 10, images((1, 32, 32)), np.arange(7))

def floats():
    return ArrayDataset("floats", 10, images((3, 32, 40), np.float32), np.arange(7))

def small():
    return ArrayDataset("small", 10, images((3, 16, 16)), np.arange(7))

def broken():
    raise RuntimeError("no such luck")

def split(split: str):
    return ArrayDataset(split, 10, images((3, 32, 32)), np.arange(7))
"""

HERE = ["corrupt", "--data", "digits", "--limit", "9", "-q", "--workers", "1"]


@contextmanager
def stopped(after):
    """Interrupt the making after some blocks."""
    made, original = [], Generator.__call__

    def call(self, *args):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(1)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generator, "__call__", call)
        yield


def written(folder):
    return {name: content for name, content in contents(folder).items() if name != ".lock"}


def expected(name, severity, samples, **options):
    images = digits("test").images(np.asarray(samples))
    return corrupt(images, name, severity=severity, samples=samples, **options).transpose(0, 2, 3, 1)
