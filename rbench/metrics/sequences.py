"""Metrics of perturbation sequences: how often, and how far, predictions change from frame to frame; pure.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019, section 4.2. All are means over pairs of frames in a sequence, then over sequences, then over the probes. Frames
of the probes `against_first` (noise) are compared with the first one, those of the others with the frame `stride`
before: a perturbation over time has its difficulty by the stride, noise by its strength, the `difficulty` of the rows
(None: the lowest there is). Labels play no part. Intervals are of the sequences, as a sample; a sequence counts as one
value in all its probes (`rbench.statistics.intervals.clustered`), and the baseline as exact. Every metric raises
`ValueError` that names the probe if an image or a frame is missing, or if the baseline has no value, of this
difficulty, but 0.
"""

from collections.abc import Callable, Sequence

from rbench.metrics._images import Images, Pairing, flips, mean_score, only_one, top5s, zipfs
from rbench.metrics.baseline import Baseline, Kind
from rbench.types import Outcomes, Score

Measure = Callable[[str, Outcomes, Pairing], Images]
MEASURES: dict[Kind, Measure] = {"flip": flips, "t5d": top5s, "zipf": zipfs}


def flip_probability(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The flip probability in [0, 1]: FP = P(f(x_j) != f(x_{j-1})), of noise P(f(x_j) != f(x_1)); not normalised."""
    return _mean("flip", probes, names, Pairing(against_first, stride, difficulty), None)


def flip_rate(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The flip rate of one perturbation, FR_p = FP_p / FP_p of the baseline; 1 is to flip as often."""
    only_one(names, "perturbation")
    return mfr(probes, names, baseline, against_first, stride, difficulty)


def mfr(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The mean flip rate, mean_p FR_p, over the perturbations of the probes; 1 is to flip as often as the baseline."""
    return _mean("flip", probes, names, Pairing(against_first, stride, difficulty), baseline)


def ut5d(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The unnormalised top-5 distance in [0, 18]: the mean of `top5_distance` over pairs of frames."""
    return _mean("t5d", probes, names, Pairing(against_first, stride, difficulty), None)


def t5d(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The top-5 distance of one perturbation, T5D_p = uT5D_p / uT5D_p of the baseline."""
    only_one(names, "perturbation")
    return mt5d(probes, names, baseline, against_first, stride, difficulty)


def mt5d(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    stride: int = 1,
    difficulty: int | None = None,
) -> Score:
    """The mean top-5 distance, mean_p T5D_p, over the perturbations of the probes."""
    return _mean("t5d", probes, names, Pairing(against_first, stride, difficulty), baseline)


def uzipf(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    against_first: tuple[str, ...] = (),
    difficulty: int | None = None,
) -> Score:
    """The unnormalised Zipf distance in [0, 2.33): the mean over neighbouring frames."""
    return _mean("zipf", probes, names, Pairing(against_first, 1, difficulty), None)


def zipf(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    difficulty: int | None = None,
) -> Score:
    """Zipf's distance of one perturbation as a share of the baseline's."""
    only_one(names, "perturbation")
    return mzipf(probes, names, baseline, against_first, difficulty)


def mzipf(
    probes: Sequence[Outcomes],
    names: Sequence[str],
    baseline: Baseline,
    against_first: tuple[str, ...] = (),
    difficulty: int | None = None,
) -> Score:
    """The mean over the perturbations of the probes of Zipf's distance as a share of the baseline's."""
    return _mean("zipf", probes, names, Pairing(against_first, 1, difficulty), baseline)


def _mean(
    kind: Kind, probes: Sequence[Outcomes], names: Sequence[str], pairing: Pairing, baseline: Baseline | None
) -> Score:
    measured = [MEASURES[kind](name, outcomes, pairing) for name, outcomes in zip(names, probes, strict=True)]
    if baseline is not None:
        pairs = zip(names, measured, strict=True)
        measured = [part.over(baseline.unit(kind, name, part.groups)) for name, part in pairs]
    return mean_score(names, measured)
