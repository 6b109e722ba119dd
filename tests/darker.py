"""A suite whose views are darker images, as code and TOML in a folder of the test."""

from rbench.catalog import Catalog

CODE = """
from dataclasses import dataclass, field
import os
import numpy as np
from rbench.errors import MissingError

@dataclass
class Darker:
    dataset: object
    groups: tuple
    frames: int
    against: str
    provenance: dict = field(default_factory=lambda: {"source": "generated", "table": "none"})
    @property
    def digest(self):
        return f"darker {self.groups} {self.frames}"
    def images(self, samples, group):
        x = self.dataset.images(samples)[:, None].astype(float)
        steps = np.arange(1, self.frames + 1)[None, :, None, None, None]
        return (x / (1 + group * steps)).astype(np.uint8)

def darker(dataset, seed, *, severities=(1, 2), frames=1, against="previous", name="any"):
    if name in os.environ.get("LOST", "").split(","):
        raise MissingError(f"no file {name}.npy")
    return Darker(dataset, tuple(severities), frames, against)
"""
SUITE = """
version = 1
title = "views"
dataset = "digits"
baseline = "standard-digits"
data = {{ use = "rbench.data.digits:digits", args = {{ split = "test" }} }}
[probes.clean]
block = 10
[probes.one]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1, 2], name = "one" }} }}
[probes.two]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1, 3], name = "two" }} }}
[probes.film]
block = 10
data = {{ use = "{code}:darker", args = {{ severities = [1], frames = 4, against = "{against}" }} }}
[scores.error]
use = "rbench.metrics:error"
of = ["one"]
higher_is_better = false
[scores.ce]
title = "CE"
use = "rbench.metrics:mce"
of = ["one"]
higher_is_better = false
[scores.both]
title = "mCE"
use = "tests_metric.py:pooled"
of = ["one", "two"]
[scores.flips]
use = "rbench.metrics:flip_probability"
of = ["film"]
args = {{ against_first = [{first}] }}
higher_is_better = false
"""
METRIC = """
from rbench.metrics import error
def pooled(probes, names, baseline):
    return error(probes[:1], names[:1])
"""


def shelve(folder, against="previous"):
    """Write code and suite into a folder; returns the catalog that has it."""
    (folder / "tests_metric.py").write_text(METRIC)
    (folder / "views_code.py").write_text(CODE)
    shelf = folder / "shelf" / "suites"
    shelf.mkdir(parents=True, exist_ok=True)
    first = '"film"' if against == "first" else ""
    (shelf / "views.toml").write_text(SUITE.format(code=folder / "views_code.py", against=against, first=first))
    return Catalog.find([folder / "shelf"])
