import numpy as np
import pytest
from grids import picked, sequences, together, zipf_distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rbench.metrics import (
    Baseline,
    flip_probability,
    flip_rate,
    mfr,
    mt5d,
    mzipf,
    t5d,
    top5_distance,
    ut5d,
    uzipf,
    zipf,
)
from rbench.statistics.intervals import clustered, wilson

TILT = sequences([[0, 1, 1, 1, 0], [3, 3, 3, 3, 3]])
NOISE = sequences([[0, 1, 1, 1, 0], [3, 3, 3, 3, 2]])


def base(difficulty=1, **kinds):
    return Baseline("b", "0", **kinds, difficulty=difficulty)


def test_hand_computed_flips_from_frame_to_frame_and_from_the_first():
    assert flip_probability([TILT], ["tilt"]).value == (2 / 4 + 0) / 2
    assert flip_probability([NOISE], ["noise"], against_first=("noise",)).value == (3 / 4 + 1 / 4) / 2
    both = flip_probability([TILT, NOISE], ["tilt", "noise"], against_first=("noise",))
    assert both.value == (1 / 4 + 1 / 2) / 2
    assert both.n == 2


def test_hand_computed_flip_rates():
    baseline = base(flip={"tilt": 0.5, "noise": 0.25})
    assert flip_rate([TILT], ["tilt"], baseline).value == 0.5
    assert flip_rate([NOISE], ["noise"], baseline, against_first=("noise",)).value == 2
    got = mfr([TILT, NOISE], ["tilt", "noise"], baseline, against_first=("noise",))
    assert got.value == 1.25
    values = [(0.5 / 0.5 + 0.75 / 0.25) / 2, (0 / 0.5 + 0.25 / 0.25) / 2]
    assert got.interval == pytest.approx(clustered(values, (1 / 0.5 + 1 / 0.25) / 2))


def test_a_stride_compares_frames_so_far_apart_in_every_phase():
    # (0, 2), (1, 3) and (2, 4) of 0 1 1 1 0: two of three differ.
    assert flip_probability([TILT], ["tilt"], stride=2).value == pytest.approx((2 / 3 + 0) / 2)
    assert flip_probability([TILT], ["tilt"], stride=4).value == 0
    # The strength of noise is its difficulty, so that a stride leaves it alone.
    assert flip_probability([NOISE], ["noise"], against_first=("noise",), stride=3).value == 0.5


def official(pred, step, noise):
    """The flip probability by the loops of a definition: phase by phase, pair by pair."""
    shares = []
    for sequence in pred.tolist():
        flips = []
        for phase in range(step):
            before, *frames = sequence[phase::step]
            for after in frames:
                flips.append(before != after)
                before = before if noise else after
        shares.append(sum(flips) / len(flips))
    return sum(shares) / len(shares)


predictions = st.tuples(st.integers(1, 6), st.integers(4, 9)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 2))
)


@given(predictions, st.integers(1, 3), st.randoms(use_true_random=False))
def test_flips_are_those_of_the_definition_in_any_order_of_rows(pred, stride, random):
    probe = sequences(pred)
    shuffled = picked(probe, random.sample(range(len(probe)), len(probe)))
    for first in ((), ("p",)):
        step = 1 if first else stride
        got = flip_probability([shuffled], ["p"], against_first=first, stride=stride)
        assert got.value == pytest.approx(official(pred, step, noise=bool(first)))
        assert got == flip_probability([probe], ["p"], against_first=first, stride=stride)
        assert 0 <= got.interval[0] <= got.value <= got.interval[1] <= 1


@given(predictions, st.data())
def test_equal_counts_of_flips_are_exactly_1(pred, data):
    """A model is compared with another one that flips as often, in other images."""
    baseline = Baseline.from_outcomes(
        "b", "0", {"p": sequences(np.roll(pred, 1, axis=0)), "q": sequences(pred)}, ("q",)
    )
    probes, names = [sequences(pred)] * 2, ["p", "q"]
    if all(baseline.flip.values()):
        assert mfr(probes, names, baseline, against_first=("q",)).value == 1.0
    else:
        with pytest.raises(ValueError, match=r"'b' has flip probability 0 of '(p|q)'"):
            mfr(probes, names, baseline, against_first=("q",))


def rankings(seed, n=3, frames=5, classes=8):
    """Full rankings [n, frames, classes], and what a probe of them records if frames are compared so."""
    full = np.argsort(np.random.default_rng(seed).normal(size=(n, frames, classes)), -1)

    def probe(first):
        before = full[:, :1].repeat(frames - 1, axis=1) if first else full[:, :-1]
        zipfs = np.pad(zipf_distance(before, full[:, 1:]), ((0, 0), (1, 0)))
        return sequences(full[..., 0], top=full[..., :5], zipf=zipfs)

    return full, probe


def test_distances_of_rankings_are_means_over_pairs_then_sequences():
    full, probe = rankings(0)
    after = np.mean([top5_distance(full[:, j - 1, :5], full[:, j, :5]).mean() for j in range(1, 5)])
    first = np.mean([top5_distance(full[:, 0, :5], full[:, j, :5]).mean() for j in range(1, 5)])
    assert ut5d([probe(False)], ["p"]).value == pytest.approx(after)
    assert ut5d([probe(True)], ["p"], against_first=("p",)).value == pytest.approx(first)
    apart = np.mean([top5_distance(full[:, j - 3, :5], full[:, j, :5]).mean() for j in (3, 4)])
    assert ut5d([probe(False)], ["p"], stride=3).value == pytest.approx(apart)
    zipfs = np.mean([zipf_distance(full[:, j - 1], full[:, j]).mean() for j in range(1, 5)])
    assert uzipf([probe(False)], ["p"]).value == pytest.approx(zipfs)


def test_distances_of_rankings_relative_to_a_baseline():
    _, probe = rankings(1)
    probes, names, first = [probe(True), probe(False)], ["p", "q"], ("p",)
    plain = [ut5d([probes[0]], ["p"], first).value, ut5d([probes[1]], ["q"]).value]
    full = [uzipf([probes[0]], ["p"], first).value, uzipf([probes[1]], ["q"]).value]
    baseline = base(t5d={"p": 2.0, "q": 4.0}, zipf={"p": 0.5, "q": 0.25})
    assert t5d([probes[1]], ["q"], baseline).value == pytest.approx(plain[1] / 4)
    assert mt5d(probes, names, baseline, first).value == pytest.approx((plain[0] / 2 + plain[1] / 4) / 2)
    assert zipf([probes[1]], ["q"], baseline).value == pytest.approx(full[1] / 0.25)
    assert mzipf(probes, names, baseline, first).value == pytest.approx((full[0] / 0.5 + full[1] / 0.25) / 2)
    itself = Baseline.from_outcomes("b", "0", dict(zip(names, probes, strict=True)), first)
    assert mt5d(probes, names, itself, first).value == 1.0
    assert mzipf(probes, names, itself, first).value == 1.0


def test_the_interval_counts_sequences_and_not_frames():
    pred = np.zeros((50, 31), dtype=np.int64)
    pred[:10, 1::2] = 1  # ten sequences flip in every pair, the others never
    assert flip_probability([sequences(pred)], ["p"]).interval == pytest.approx(wilson(10, 50))
    assert flip_probability([sequences(pred * 0)], ["p"]).interval == pytest.approx(wilson(0, 50))


def test_of_several_difficulties_the_lowest_or_the_one_asked_for_counts():
    easy, hard = sequences([[0, 0, 0, 0], [0, 0, 0, 1]], group=1), sequences([[0, 1, 2, 3], [0, 0, 1, 1]], group=2)
    noise = together(easy, hard)
    first = ("noise",)
    assert flip_probability([noise], ["noise"], first).value == pytest.approx(1 / 6)
    assert flip_probability([noise], ["noise"], first, difficulty=2).value == pytest.approx((1 + 2 / 3) / 2)
    with pytest.raises(ValueError, match="'noise' holds no difficulty 3, but 1, 2"):
        flip_probability([noise], ["noise"], first, difficulty=3)
    # A perturbation over time has rows of one difficulty, and the stride makes the others.
    both = flip_probability([noise, TILT], ["noise", "tilt"], first, stride=2, difficulty=2)
    assert both.value == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)
    with pytest.raises(ValueError, match="'tilt' holds no difficulty 2, but 1"):
        flip_probability([noise, TILT], ["noise", "tilt"], first, difficulty=2)


def test_a_baseline_of_another_difficulty_is_refused():
    easy = base(flip={"tilt": 0.5, "noise": 0.25})
    hard = base(2, flip={"tilt": 0.5, "noise": 0.25})
    with pytest.raises(ValueError, match="'b' has its flip probability of 'tilt' at difficulty 1, not 2"):
        flip_rate([TILT], ["tilt"], easy, stride=2)
    assert flip_rate([TILT], ["tilt"], hard, stride=2).value == pytest.approx(2 / 3)
    second = sequences([[0, 1, 1], [0, 0, 0]], group=2)
    with pytest.raises(ValueError, match="'noise' at difficulty 1, not 2"):
        flip_rate([second], ["noise"], easy, ("noise",))
    assert flip_rate([second], ["noise"], hard, ("noise",)).value == 2


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (picked(TILT, np.arange(9)), "'p' does not hold every image exactly once in every frame"),
        (picked(TILT, [*range(10), 3]), "'p' does not hold every image exactly once in every frame"),
        (picked(TILT, TILT.frame != 2), "'p' does not hold every frame, but 0, 1, 3, 4"),
        (picked(TILT, TILT.frame != 0), "'p' does not hold every frame, but 1, 2, 3, 4"),
        (picked(TILT, TILT.frame == 0), "'p' has sequences of 1 frames, so no pair 1 apart"),
        (picked(TILT, []), "'p' holds no image"),
    ],
)
def test_missing_frames_are_refused_by_the_name_of_the_probe(broken, complaint):
    for first in ((), ("p",)):
        with pytest.raises(ValueError, match=complaint):
            flip_probability([broken], ["p"], first)


def test_what_cannot_be_measured_is_refused():
    one = base(flip={"tilt": 0.5}, t5d={"tilt": 1.0}, zipf={"tilt": 1.0})
    with pytest.raises(ValueError, match="'tilt' holds no five largest classes"):
        t5d([TILT], ["tilt"], one)
    with pytest.raises(ValueError, match="'tilt' holds no distances of full rankings"):
        zipf([TILT], ["tilt"], one)
    with pytest.raises(ValueError, match="stride = 0 must be at least 1"):
        flip_probability([TILT], ["tilt"], stride=0)
    with pytest.raises(ValueError, match="'noise' lacks 1 of the images that others have"):
        flip_probability([TILT, picked(NOISE, NOISE.sample == 0)], ["tilt", "noise"])
    with pytest.raises(ValueError, match="'b' has no flip probability of 'noise'"):
        flip_rate([NOISE], ["noise"], one)
    for metric in (flip_rate, t5d, zipf):
        with pytest.raises(ValueError, match="of one perturbation, not of 2"):
            metric([TILT, TILT], ["tilt", "noise"], one)
