"""Outcomes to numbers; pure. A metric maps the outcomes of its probes, in the order of the suite, to a `Score`.

It is also given what its signature asks for: the `names` of its probes, and the `baseline` of the suite.
"""

from rbench.metrics.attacked import accuracy, router_gain, transfer_success, w_robust, worst_case
from rbench.metrics.baseline import Baseline
from rbench.metrics.corrupted import ce, error, mce, relative_ce, relative_mce
from rbench.metrics.rankings import top5_distance
from rbench.metrics.sequences import flip_probability, flip_rate, mfr, mt5d, mzipf, t5d, ut5d, uzipf, zipf

__all__ = [
    "Baseline",
    "accuracy",
    "ce",
    "error",
    "flip_probability",
    "flip_rate",
    "mce",
    "mfr",
    "mt5d",
    "mzipf",
    "relative_ce",
    "relative_mce",
    "router_gain",
    "t5d",
    "top5_distance",
    "transfer_success",
    "ut5d",
    "uzipf",
    "w_robust",
    "worst_case",
    "zipf",
]
