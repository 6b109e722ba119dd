"""Metrics of corruptions: errors over severities, alone or normalised by those of a baseline; pure.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019, section 4.1. E_{s,c} is the share misclassified under corruption c at severity s; B is the baseline's. All values
are shares: what papers print as 76.7 is 0.767. Intervals are of the images, as a sample; all cells of an image count as
one (`rbench.statistics.intervals.clustered`), and the baseline as exact. Every metric raises `ValueError` that names
the probe if its severities or images are not those of the others, or if an image lacks one.
"""

from collections.abc import Sequence

import numpy as np

from rbench.errors import UndefinedError
from rbench.metrics._images import Images, errors, mean_score, only_one
from rbench.metrics.baseline import Baseline
from rbench.types import Outcomes, Score

CLEAN = "clean"


def error(probes: Sequence[Outcomes], names: Sequence[str]) -> Score:
    """The mean error, mean_c mean_s E_{s,c}, in [0, 1]: every corruption and severity weighs the same.

    Of a clean probe alone it is the clean error. On CIFAR-10-C many papers call it mCE, though nothing is normalised.
    """
    return mean_score(names, _errors(probes, names))


def ce(probes: Sequence[Outcomes], names: Sequence[str], baseline: Baseline) -> Score:
    """The corruption error of one corruption, CE_c = sum_s E_{s,c} / sum_s B_{s,c}; 1 is as bad as the baseline."""
    only_one(names, "corruption")
    return mce(probes, names, baseline)


def mce(probes: Sequence[Outcomes], names: Sequence[str], baseline: Baseline) -> Score:
    """The mean corruption error, mean_c CE_c, over the corruptions of the probes; 1 is as bad as the baseline."""
    parts = _errors(probes, names)
    units = [baseline.unit("error", name, part.groups) for name, part in zip(names, parts, strict=True)]
    return mean_score(names, [part.over(unit) for part, unit in zip(parts, units, strict=True)])


def relative_ce(probes: Sequence[Outcomes], names: Sequence[str], baseline: Baseline) -> Score:
    """The relative corruption error of one corruption, sum_s (E_{s,c} - E_clean) / sum_s (B_{s,c} - B_clean).

    The probes are `clean`, then the corruption. It may be negative. Raises `ValueError` as `relative_mce` does.
    """
    only_one(names[1:], "corruption")
    return relative_mce(probes, names, baseline)


def relative_mce(probes: Sequence[Outcomes], names: Sequence[str], baseline: Baseline) -> Score:
    """The mean over corruptions of the relative corruption error; 1 is to lose as much by them as the baseline.

    The probes are `clean`, then the corruptions; of `clean` the images of the others count. Raises `ValueError` if the
    first probe is another, if it lacks images, or if the baseline is no worse under a corruption than without.
    """
    if not names or names[0] != CLEAN or len(names) < 2:
        raise ValueError(f"the probes must be {CLEAN!r} and then corruptions, not {', '.join(names)}")
    parts = _errors(probes[1:], names[1:])
    clean = _errors(probes[:1], names[:1])[0]
    rises = []
    for name, part in zip(names[1:], parts, strict=True):
        unit = baseline.unit("error", name, part.groups) - baseline.of("error", CLEAN)
        if unit <= 0:
            raise UndefinedError(f"baseline {baseline.name!r} is no worse under {name!r} than on clean images")
        rises.append(_rise(part, clean).over(unit))
    return mean_score(names[1:], rises)


def _errors(probes: Sequence[Outcomes], names: Sequence[str]) -> list[Images]:
    """The errors of each probe; raises `ValueError` that names the first which lacks a severity that others have."""
    parts = [errors(name, outcomes) for name, outcomes in zip(names, probes, strict=True)]
    every = {group for part in parts for group in part.groups}
    for name, part in zip(names, parts, strict=True):
        if lacking := sorted(every.difference(part.groups)):
            raise ValueError(f"probe {name!r} lacks severity {', '.join(map(str, lacking))}, which others have")
    return parts


def _rise(part: Images, clean: Images) -> Images:
    """How much more often each image is misclassified than when it is clean, in [-1, 1]."""
    places = np.searchsorted(clean.samples, part.samples).clip(max=len(clean.samples) - 1)
    if not np.array_equal(clean.samples[places], part.samples):
        raise ValueError(f"probe {CLEAN!r} lacks images of the corruptions")
    before = clean.values[places]
    # One division each, as for a baseline that was run, so that equal counts cancel to 1.
    value = part.value - float(before.sum()) / len(before)
    return Images(part.samples, part.values - before, value, 1.0, part.groups, bottom=-1.0)
