"""Subnets without a controller, and what the strategies have in common."""

from collections import Counter
from itertools import combinations

import pytest
import torch
from scipy import stats

from rbench.models.preact_resnet import preact_resnet_small
from rbench.recipe import Ews
from rbench.rng import Draws
from rbench.training.ews.choosing import at_random, by_norm
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import kept


def stream(index):
    return Draws(0, "test", torch.tensor([index]))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return preact_resnet_small(10, [0.3] * 3, [0.3] * 3, width=4)


def test_random_subnets_are_all_equally_likely():
    found = [at_random([4, 2], 0.5, stream(index), paths=True) for index in range(2400)]
    first = Counter((tuple(paths), tuple(channels)) for (paths, channels), _ in found)
    pairs = [((0,), pair) for pair in combinations(range(4), 2)]
    assert set(first) == {((1,), ()), *pairs}
    expected = [1200, *[200] * 6]
    assert stats.chisquare([first[key] for key in [((1,), ()), *pairs]], expected).pvalue > 1e-3
    both = Counter((one[0][0], two[0][0]) for one, two in found)
    assert stats.chisquare(list(both.values())).pvalue > 1e-3  # blocks are drawn independently


def test_without_paths_both_are_kept():
    for index in range(20):
        for paths, channels in at_random([4, 6], 0.5, stream(index), paths=False):
            assert list(paths) == [0, 1]
            assert len(channels) in (2, 3)


def test_the_channels_of_least_norm_are_kept(model):
    with torch.no_grad():
        for block in model.blocks:
            for channel, norm in enumerate(torch.arange(block.width, 0, -1)):  # the last ones are the weakest
                block.filters[channel] *= norm / block.filters[channel].abs().sum()
    kinds = set()
    for index in range(30):
        choices = by_norm(model, 0.5, stream(index), paths=True)
        for block, (paths, channels) in zip(model.blocks, choices, strict=True):
            kinds.add(tuple(paths))
            weakest = list(range(block.width - kept(0.5, block.width), block.width))
            assert channels == (weakest if 0 in paths else [])
    assert kinds == {(0,), (1,)}


@pytest.mark.parametrize("strategy", ["search", "random", "l1-norm"])
def test_strategies_are_functions_of_seed_epoch_and_iteration(model, strategy):
    def masks(seed, epoch, iteration):
        enhancer = Enhancer(model, Ews(strategy=strategy), seed)
        return torch.cat([torch.cat(mask[:2]) for mask in enhancer.subnet(model, epoch, iteration)]).tolist()

    assert masks(0, 1, 2) == masks(0, 1, 2)
    assert len({tuple(masks(0, 1, index)) for index in range(12)}) > 3
    assert [masks(1, 1, index) for index in range(6)] != [masks(0, 1, index) for index in range(6)]
    assert [masks(0, 2, index) for index in range(6)] != [masks(0, 1, index) for index in range(6)]


def test_only_a_search_ever_learns(model):
    assert Enhancer(model, Ews(every=2), 0).begin(2)
    assert not Enhancer(model, Ews(every=2, strategy="random"), 0).begin(2)
    assert not Enhancer(model, Ews(every=2, strategy="l1-norm"), 0).begin(2)
    often = Enhancer(model, Ews(every=2, every_steps=3), 0)
    assert not often.begin(2)
    assert [often.due(iteration) for iteration in range(7)] == [True, False, False, True, False, False, True]


@pytest.mark.parametrize(("kind", "values"), [("advantage", [0.0, -0.125, -0.125]), ("advantage-restarted", [0.0, -0.125, 0.0])])  # fmt: skip # noqa: E501
def test_the_baseline_of_the_authors_programs(model, kind, values):
    enhancer = Enhancer(model, Ews(baseline=kind, decay=0.75), 0)
    enhancer.begin(0)
    found = [enhancer.baseline]
    enhancer.update([enhancer.controller(stream(0))], [-0.5])
    found.append(enhancer.baseline)
    enhancer.begin(1)
    found.append(enhancer.baseline)
    assert found == pytest.approx(values)
    enhancer.baseline = -0.2
    enhancer.update([enhancer.controller(stream(1))], [-0.5])
    assert enhancer.baseline == pytest.approx(0.75 * -0.2 + 0.25 * (-0.5 + 0.2))
