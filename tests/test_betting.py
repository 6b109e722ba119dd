"""Bets on paired differences: fair, rarely wrong, certain where all is seen; exact by enumeration."""

from itertools import combinations_with_replacement, permutations

import numpy as np
import pytest

from rbench.betting import Bet

ALPHA = 0.05


def capital(order, delta, items=None):
    """The evidence (above, below) after each draw."""
    bet = Bet(items or len(order), delta)
    path = []
    for value in order:
        bet.see([value])
        path.append((bet.above, bet.below))
    return np.array(path)


@pytest.mark.parametrize("delta", [-0.4, 0.0, 0.13, 0.5])
@pytest.mark.parametrize("items", [1, 4, 6])
def test_a_true_hypothesis_is_ever_refuted_with_probability_alpha_at_most(items, delta):
    alpha = 0.3  # so that few items can refute anything
    for values in combinations_with_replacement((-1, 0, 1), items):
        orders = set(permutations(values))
        best = np.array([capital(order, delta).max(axis=0) for order in orders])
        mean = sum(values) / items
        if mean <= delta:
            assert (best[:, 0] >= 1 / alpha).mean() <= alpha
        if mean >= delta:
            assert (best[:, 1] >= 1 / alpha).mean() <= alpha


def test_a_bet_is_fair_at_every_draw():
    values = np.array([1, 1, 0, 0, 0, -1, -1, 0.5, -0.5])  # whose mean is 0, the bound
    start = Bet(len(values), 0.0)
    start.see(values[:3])
    after = []
    for k in range(3, len(values)):
        bet = Bet(len(values), 0.0)
        bet.see(values[:3])
        bet.see(values[k : k + 1])
        after.append((bet.above, bet.below))
    assert np.mean(after, axis=0) == pytest.approx((start.above, start.below))


@pytest.mark.parametrize(("losses", "gains"), [(2, 0), (1, 1), (5, 2)])
def test_when_all_is_seen_the_truth_is_certain_and_a_tie_refutes_nothing(losses, gains):
    values = np.array([1] * losses + [-1] * gains + [0] * (100 - losses - gains))
    mean = float(values.mean())
    for delta, sides in ((mean - 0.004, (True, False)), (mean, (False, False)), (mean + 0.004, (False, True))):
        path = capital(np.random.default_rng(0).permutation(values), delta)
        assert tuple(path[-1] >= 1e6) == sides


def reject(values, delta, times, replace):
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(times):
        path = capital(random.choice(values, len(values), replace=replace), delta)
        wrong += bool((path >= 1 / ALPHA).any())
    return wrong / times


def test_at_the_bound_itself_both_sides_are_rarely_wrong_and_sampling_with_replacement_shows():
    values = np.array([1] * 8 + [-1] * 4 + [0] * 188)
    assert reject(values, 0.02, 200, replace=False) <= 2 * ALPHA + 3 * (2 * ALPHA * (1 - 2 * ALPHA) / 200) ** 0.5
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
