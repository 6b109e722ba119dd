"""Bets on paired differences: fair, rarely wrong, certain where all is seen; exact by enumeration."""

from itertools import combinations_with_replacement, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbench.statistics.betting import FINEST, Bet, bounds

ALPHA = 0.05


def best(order, delta):
    """The most evidence (above, below) while the differences come one by one."""
    bet = Bet(len(order), delta)
    for value in order:
        bet.see([value])
    return bet.above, bet.below


@pytest.mark.parametrize("delta", [-0.4, 0.0, 0.13, 0.5])
@pytest.mark.parametrize("items", [1, 4, 6])
def test_a_true_hypothesis_is_ever_refuted_with_probability_alpha_at_most(items, delta):
    alpha = 0.3  # so that few items can refute anything
    for values in combinations_with_replacement((-1, 0, 1), items):
        orders = set(permutations(values))
        found = np.array([best(order, delta) for order in orders])
        mean = sum(values) / items
        if mean <= delta:
            assert (found[:, 0] >= 1 / alpha).mean() <= alpha
        if mean > delta:
            assert (found[:, 1] >= 1 / alpha).mean() <= alpha


def worth(bet):
    return [np.exp(capital).mean() for capital in bet._capital]


def test_a_bet_is_fair_at_every_draw():
    values = np.array([1, 1, 0, 0, 0, -1, -1, 0.5, -0.5])  # whose mean is 0, the bound
    start = Bet(len(values), 0.0)
    start.see(values[:3])
    after = []
    for k in range(3, len(values)):
        bet = Bet(len(values), 0.0)
        bet.see(values[:3])
        bet.see(values[k : k + 1])
        after.append(worth(bet))
    assert np.mean(after, axis=0) == pytest.approx(worth(start))


@given(st.lists(st.sampled_from([-1, -0.5, 0, 0.3, 1]), min_size=1, max_size=30), st.floats(-0.9, 0.9), st.data())
def test_the_evidence_is_the_same_however_the_draws_are_parted(values, delta, data):
    cut = data.draw(st.integers(0, len(values)))
    bets = [Bet(len(values) + 3, delta) for _ in range(3)]
    bets[0].see(values)
    bets[1].see(values[:cut])
    bets[1].see(values[cut:])
    for value in values:
        bets[2].see([value])
    assert bets[1].above == pytest.approx(bets[0].above) == pytest.approx(bets[2].above)
    assert bets[1].below == pytest.approx(bets[0].below) == pytest.approx(bets[2].below)


@given(st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=1, max_size=40), st.integers(0, 40))
def test_an_interval_is_all_that_is_not_refuted(values, unseen):
    items = len(values) + unseen
    low, high = bounds(values, items, 0.2)
    for delta in np.linspace(-0.99, 0.99, 67):
        bet = Bet(items, float(delta))
        bet.see(values)
        refuted = max(bet.above, bet.below) >= 10
        assert refuted or low <= delta <= high
        assert not refuted or delta <= low + 2 * FINEST or delta >= high - 2 * FINEST
    if unseen == 0:
        assert (low, high) == pytest.approx((np.mean(values),) * 2, abs=3 * FINEST)


def test_an_interval_covers_the_mean_at_sixty_looks():
    values = np.array([1] * 30 + [-1] * 10 + [0] * 260)
    random, missed = np.random.default_rng(1), 0
    for _ in range(25):
        order = random.permutation(values)
        looks = [bounds(order[:seen], len(values), 0.2) for seen in range(5, 301, 5)]
        missed += any(not low <= values.mean() <= high for low, high in looks)
    assert missed / 25 <= 0.2 + 3 * (0.2 * 0.8 / 25) ** 0.5


@pytest.mark.parametrize(("losses", "gains"), [(2, 0), (1, 1), (5, 2)])
def test_when_all_is_seen_the_truth_is_certain_and_a_tie_is_no_drop(losses, gains):
    values = np.array([1] * losses + [-1] * gains + [0] * (100 - losses - gains))
    mean = float(values.mean())
    for delta, sides in ((mean - 0.004, (True, False)), (mean, (False, True)), (mean + 0.004, (False, True))):
        found = best(np.random.default_rng(0).permutation(values), delta)
        assert tuple(np.isinf(found)) == sides


def reject(values, delta, times, replace):
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(times):
        above, _ = best(random.choice(values, len(values), replace=replace), delta)
        wrong += above >= 1 / ALPHA
    return wrong / times


def test_a_drop_of_delta_rarely_fails_and_sampling_with_replacement_shows():
    values = np.array([1] * 8 + [-1] * 4 + [0] * 188)
    assert reject(values, 0.02, 200, replace=False) <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / 200) ** 0.5
    assert reject(values, 0.02, 100, replace=True) > 4 * ALPHA  # the mistake that the bet is not made for


@pytest.mark.parametrize("discordance", [0.01, 0.03, 0.09])
@pytest.mark.parametrize("drop", [0.0, 0.5, 1.5, 3.0])
def test_decisions_about_drops_are_right(discordance, drop):
    """`drop` is in multiples of delta, 2 points; a population of 1,000, looked at every 20."""
    delta, items = 0.02, 1000
    losses = min(round(items * (discordance + drop * delta) / 2), items)
    gains = round(items * (discordance - drop * delta) / 2)
    if gains < 0:
        losses, gains = round(items * drop * delta), 0
    values = np.array([1] * losses + [-1] * gains + [0] * (items - losses - gains))
    random = np.random.default_rng(round(1000 * discordance + drop))
    wrong = 0
    for _ in range(40):
        order, bet = random.permutation(values), Bet(items, delta)
        for start in range(0, items, 20):
            bet.see(order[start : start + 20])
            if max(bet.above, bet.below) >= 1 / ALPHA:
                break
        wrong += (bet.above >= 1 / ALPHA) if drop <= 1 else (bet.below >= 1 / ALPHA)
        assert max(bet.above, bet.below) >= 1 / ALPHA  # away from the bound there is a decision before the end
    assert wrong <= 40 * ALPHA + 3 * (40 * ALPHA * (1 - ALPHA)) ** 0.5


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="at least one item"):
        Bet(0, 0.01)
    for delta in (-1, 1, float("nan")):
        with pytest.raises(ValueError, match="between -1 and 1"):
            Bet(5, delta)
    for values in ([1.5], [float("nan")]):
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            Bet(5, 0.01).see(values)
    with pytest.raises(ValueError, match="some came twice"):
        Bet(2, 0.01).see([0, 0, 0])
