"""Metrics of attacks: outcomes to shares of samples; pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rbench.statistics.intervals import wilson
from rbench.types import Outcomes, Score


def accuracy(probes: Sequence[Outcomes]) -> Score:
    """The share in [0, 1] of samples of one probe that are classified as their label, with Wilson's 95% interval."""
    (outcomes,) = probes
    return _share(outcomes.correct)


def worst_case(probes: Sequence[Outcomes]) -> Score:
    """The share in [0, 1] of samples that stay correct in every one of the probes: the mean of per-sample minima.

    Raises `ValueError` if the probes do not hold the same samples.
    """
    first = probes[0]
    for other in probes[1:]:
        _demand_same(first, other)
    return _share(np.logical_and.reduce([outcomes.correct for outcomes in probes]))


def w_robust(probes: Sequence[Outcomes]) -> Score:
    """AW-Net's W-robust accuracy of a clean probe and an attack: (clean accuracy + robust accuracy) / 2, in [0, 1].

    It is the mean over the attack's samples of 0, 1/2 or 1; the interval is Wilson's for a mean, which is conservative
    here. arXiv 2306.03430. Raises `ValueError` if the clean probe lacks any of the samples.
    """
    clean, attacked = probes
    total = (_correct_at(clean, attacked).sum() + attacked.correct.sum()) / 2
    return Score(float(total / len(attacked)), wilson(float(total), len(attacked)), len(attacked))


def transfer_success(probes: Sequence[Outcomes]) -> Score:
    """The share fooled of the samples that model and surrogates get right, of a clean probe and one with surrogates.

    With Wilson's 95% interval; `n` counts those samples, since success is asked of no others (Liu et al., "Delving into
    transferable adversarial examples and black-box attacks", ICLR 2017). Raises `ValueError` if there are none.
    """
    clean, attacked = probes
    asked = _correct_at(clean, attacked) & (attacked.group == 1)
    if not asked.any():
        raise ValueError("there is no sample that the model and its surrogates all get right")
    return _share(~attacked.correct[asked])


def router_gain(probes: Sequence[Outcomes]) -> Score:
    """What other attacks find beyond the first: its robust accuracy less that of the worst case over all, in [0, 1].

    Both are over the same samples, so this is the share of those that stand under the first attack and fall to another
    one, with Wilson's 95% interval. Raises `ValueError` if the probes do not hold the same samples.
    """
    first, *others = probes
    for other in others:
        _demand_same(first, other)
    stands = np.logical_and.reduce([other.correct for other in others]) if others else first.correct
    return _share(first.correct & ~stands)


def _correct_at(clean: Outcomes, attacked: Outcomes) -> npt.NDArray[np.bool_]:
    """Whether a clean probe got each sample of another one right, which may hold fewer."""
    places = np.searchsorted(clean.sample, attacked.sample).clip(max=len(clean) - 1)
    same = (clean.sample[places] == attacked.sample) & (clean.label[places] == attacked.label)
    if not same.all():
        raise ValueError("the clean probe lacks samples of the other one")
    return clean.correct[places]


def _demand_same(first: Outcomes, other: Outcomes) -> None:
    if not (np.array_equal(first.sample, other.sample) and np.array_equal(first.label, other.label)):
        raise ValueError("the probes must hold the same samples")


def _share(hits: npt.NDArray[np.bool_]) -> Score:
    count, n = int(hits.sum()), len(hits)
    low, high = wilson(count, n)
    return Score(count / n, (low, high), n)
