"""A suite that takes a second, code for it, and a look at a run folder."""

from pathlib import Path

SUITE = """
version = 1
title = "quick"
dataset = "digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
threat = {{ norm = "{norm}", eps = "{eps}" }}
[probes.clean]
block = 10
[probes.first]
block = 10
attack = {{ use = "rbench.attacks.fgsm:fgsm" }}
[probes.second]
block = 10
attack = {{ use = "{attack}", args = {args} }}
[scores.clean]
use = "rbench.metrics:accuracy"
of = ["clean"]
[scores.second]
use = "rbench.metrics:accuracy"
of = ["second"]
[scores.worst]
use = "rbench.metrics:worst_case"
of = ["clean", "first", "second"]
"""

DATA_FROM_FOLDER = """
import os
from pathlib import Path
import numpy as np
from rbench.data.arrays import ArrayDataset

def load(split):
    value = int(Path(os.environ["RBENCH_DATA"], "value").read_text())
    return ArrayDataset("digits", 10, np.full((20, 3, 32, 32), value, dtype=np.uint8), np.arange(20) % 10)
"""


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}
