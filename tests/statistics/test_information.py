"""Mutual information against closed forms, another implementation, and the formula written out slowly."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from rbench.errors import UsageError
from rbench.statistics import information
from rbench.statistics.information import Information, class_conditional, edge


def gaussian(count, rho, seed=0, dimensions=1):
    """Pairs whose coordinates each have correlation rho: -d/2 log2(1 - rho^2) bits."""
    rng = np.random.default_rng(seed)
    x, noise = rng.standard_normal((2, count, dimensions))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def pairs(table):
    """Samples of two discrete variables, as many of each pair of values as the table says."""
    i, j = np.indices(np.shape(table)).reshape(2, -1)
    return np.repeat(i, np.ravel(table)), np.repeat(j, np.ravel(table))


def miller(table):
    """What is taken off for the number of cells, in bits."""
    table = np.asarray(table)
    cells = (table > 0).sum() - (table.sum(1) > 0).sum() - (table.sum(0) > 0).sum() + 1
    return cells / (2 * table.sum() * math.log(2))


@pytest.mark.parametrize("rho", [0.0, 0.3, -0.6, 0.8, 0.9])
@pytest.mark.parametrize("seed", [1, 2])
def test_gaussian_pairs(rho, seed):
    found = edge(*gaussian(20_000, rho, seed))
    assert found.bits == pytest.approx(-0.5 * math.log2(1 - rho**2), abs=0.03)
    assert found.null == pytest.approx(0, abs=0.02)
    assert found.warning == ""
    assert found.ceiling == pytest.approx(math.log2(20_000))


def test_more_samples_come_closer_to_the_truth():
    truth, rho = -0.5 * math.log2(1 - 0.95**2), 0.95
    errors = [np.mean([abs(edge(*gaussian(n, rho, seed)).bits - truth) for seed in range(3)]) for n in (300, 3000, 30_000)]  # fmt: skip # noqa: E501
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


def test_gaussian_vectors_are_rather_under_than_overestimated():
    for rho in (0.6, 0.9):
        found = edge(*gaussian(20_000, rho, dimensions=2))
        truth = -math.log2(1 - rho**2)
        assert truth - 0.25 < found.bits < truth + found.null


@pytest.mark.parametrize(
    ("table", "bits"),
    [
        ([[400, 100], [100, 400]], 1 + 0.8 * math.log2(0.8) + 0.2 * math.log2(0.2)),  # a channel that flips 1 in 5
        ([[500, 0], [0, 500]], 1.0),
        ([[250, 0, 0, 0], [0, 250, 0, 0], [0, 0, 250, 0], [0, 0, 0, 250]], 2.0),
        ([[120, 280], [180, 420]], 0.0),  # independent
        ([[500, 250, 250]], 0.0),  # x is constant
    ],
)
def test_discrete_pairs_exactly(table, bits):
    found = edge(*pairs(table))
    assert found.bits == pytest.approx(bits - miller(table), abs=1e-9)
    assert edge(*pairs(table), seed=5).bits == pytest.approx(found.bits, abs=1e-9)


tables = st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=2, max_size=4).filter(
    lambda table: sum(map(sum, table)) >= 25
)


@settings(deadline=None)
@given(tables)
def test_discrete_pairs_against_another_implementation(table):
    x, y = pairs(table)
    assert edge(x, y).bits == pytest.approx(mutual_info_score(x, y) / math.log(2) - miller(table), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.booleans())
def test_the_order_of_samples_does_not_matter(seed, discrete):
    rng = np.random.default_rng(seed)
    x, y = pairs([[30, 10], [5, 40]]) if discrete else gaussian(200, 0.7, seed)
    order = rng.permutation(len(x))
    assert edge(x[order], y[order]).bits == pytest.approx(edge(x, y).bits, abs=1e-9)


def test_the_order_of_many_features_and_samples():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 30))
    order = rng.permutation(400)
    assert edge(x[order], x[order, :2]).bits == pytest.approx(edge(x, x[:, :2]).bits, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_units_and_names_of_values_do_not_matter(scale, offset):
    x, y = pairs([[30, 10, 4], [5, 40, 2]])
    assert edge(scale * x + offset, y).bits == pytest.approx(edge(x, y).bits, abs=1e-9)
    a, b = gaussian(400, 0.7)
    assert edge(scale * a, b).bits == pytest.approx(edge(a, b).bits, abs=1e-9)


def slowly(x, y, seed):
    """The published estimate in one dimension, sample by sample."""
    rng, count, cells = np.random.default_rng(seed), len(x), []
    for values in (x, y):
        k = math.floor(0.43 * count ** (2 / 3 + 0.17 / 2) * math.exp(-1e-4))
        chosen = np.random.RandomState(3334).choice(values, size=500)
        width = 0.4 * 18 * (np.mean([sorted(abs(v - point) for v in values)[k - 1] for point in chosen]) + 1e-4)
        shift = 0.1 * rng.random(1)[0] * width
        cells.append([math.floor((value + shift) / width) for value in values])
    one, two, both = Counter(cells[0]), Counter(cells[1]), Counter(zip(*cells, strict=True))
    edges = [n * max(min(math.log2(n * count / (one[i] * two[j])), 10), 0.001) for (i, j), n in both.items()]
    return sum(edges) / count


def test_the_published_estimate_is_the_published_formula():
    x, y = gaussian(150, 0.7)
    assert edge(x, y, published=True, seed=4).bits == pytest.approx(slowly(x[:, 0], y[:, 0], 4), abs=1e-9)


def test_the_published_estimate_counts_no_edge_as_less_than_a_thousandth():
    """The rare pairs of a channel tell against the others; where they count nothing the estimate is too high."""
    table = [[450, 50], [50, 450]]
    found = edge(*pairs(table), published=True)
    assert found.bits == pytest.approx(0.9 * math.log2(1.8) + 0.1 * 0.001, abs=1e-9)
    assert edge(*pairs(table)).bits == pytest.approx(1 + 0.9 * math.log2(0.9) + 0.1 * math.log2(0.1), abs=0.001)


@pytest.mark.parametrize("published", [True, False])
def test_many_features_of_few_samples_find_bits_where_there_are_none_and_say_so(published):
    rng = np.random.default_rng(0)
    found = edge(rng.standard_normal((1000, 512)), rng.standard_normal((1000, 10)), published=published)
    assert found.bits == pytest.approx(found.null, abs=0.1)
    assert found.bits > (3 if published else 0.5)
    assert "1000 samples are too few" in found.warning
    assert f"they give {found.null:.2f} bits, here {found.bits:.2f}, and never more than 9.97" in str(found)


def test_an_estimate_near_its_ceiling_is_no_number_to_trust():
    assert Information(6.5, 0.1, 6.64, 100).warning
    assert not Information(3.0, 0.1, 6.64, 100).warning
    assert Information(3.0, 0.4, 6.64, 100).warning
    assert not Information(0.01, 0.04, 9.97, 1000).warning  # off by so little that it does not matter
    assert str(Information(3.0, 0.1, 6.64, 100)) == "3.00 bits"


@pytest.mark.parametrize("count", [4, 8, 16])
def test_few_samples_are_no_number_to_trust_even_without_bias(count):
    """Independent bits, of which Miller's correction takes the bias and leaves the chance: sqrt(2)/(2N ln 2) bits."""
    rng = np.random.default_rng(count)
    draws = [edge(*rng.integers(0, 2, (2, count)), seed=seed) for seed in range(30)]
    assert all(found.warning for found in draws if abs(found.bits) > 0.1)
    assert count == 4 or any("more or less" in found.warning for found in draws)


def test_the_spread_is_that_of_independent_bits():
    x, y = pairs([[100, 100], [100, 100]])
    spreads = [edge(x, y, seed=seed).spread for seed in range(40)]
    chance = math.sqrt(2) / (2 * 400 * math.log(2))  # 2N ln 2 I has the chi-squared distribution of one degree
    assert np.sqrt(np.mean(np.square(spreads))) == pytest.approx(chance, rel=0.3)
    labels = np.repeat([0, 1, 0, 1], 100)
    parts = [edge(x[labels == kind], y[labels == kind]).spread for kind in (0, 1)]
    assert class_conditional(x, y, labels).spread == pytest.approx(math.hypot(*parts) / 2)


def test_given_the_class_nothing_is_left_of_what_the_class_alone_makes():
    labels = np.repeat([0, 1], [4000, 8000])
    rng = np.random.default_rng(0)
    x, y = 6 * labels + rng.standard_normal(12_000), 6 * labels + rng.standard_normal(12_000)
    assert edge(x, y).bits > 0.8
    assert class_conditional(x, y, labels).bits == pytest.approx(0, abs=0.05)


def test_classes_count_by_their_share():
    x, y = pairs([[400, 0], [0, 400]])  # 1 bit
    a, b = pairs([[50, 50], [50, 50]])  # none
    labels = np.repeat([3, 7], [800, 200])
    found = class_conditional(np.concatenate([x, a]), np.concatenate([y, b]), labels)
    own = 0.8 * (1 - miller([[400, 0], [0, 400]])) - 0.2 * miller([[50, 50], [50, 50]])
    assert found.bits == pytest.approx(own, abs=1e-9)
    assert found.ceiling == pytest.approx(0.8 * math.log2(800) + 0.2 * math.log2(200))
    assert found.samples == 200


@pytest.mark.parametrize("published", [True, False])
def test_twice_the_samples_cost_twice_as_much(published, monkeypatch):
    """Counted, not timed: the numbers that are hashed or searched, and that nothing is ever sorted."""
    handled = []

    def counted(original):
        def handle(values, *rest):
            handled.append(len(values))
            return original(values, *rest)

        return handle

    monkeypatch.setattr(information, "_codes", counted(information._codes))
    monkeypatch.setattr(np, "partition", counted(np.partition))
    for name in ("sort", "argsort", "unique", "lexsort"):
        monkeypatch.setattr(np, name, None)
    counts = []
    for count in (1000, 2000, 4000):
        handled.clear()
        edge(*gaussian(count, 0.5, dimensions=2), published=published)
        counts.append(sum(handled))
    assert counts == [counts[0], 2 * counts[0], 4 * counts[0]]
    assert counts[0] / 1000 < (2100 if published else 200)


def test_features_of_any_shape_are_flattened():
    x, y = gaussian(300, 0.5, dimensions=4)
    assert edge(x.reshape(300, 2, 2), y) == edge(x, y)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: edge([1.0, 2.0], [1.0]), "there are 2 x and 1 y"),
        (lambda: edge([1.0], [1.0]), "pairs, two or more"),
        (lambda: edge([1.0, np.nan], [1.0, 2.0]), "some are NaN or infinite"),
        (lambda: class_conditional([1.0, 2.0], [1.0, 2.0], [0]), "there are 1 of 2"),
        (lambda: class_conditional([1.0, 2.0], [1.0, 2.0], [0, 1]), "two samples or more of every class"),
    ],
)
def test_what_is_no_sample_is_refused(ask, message):
    with pytest.raises(UsageError, match=message):
        ask()
