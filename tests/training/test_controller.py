import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.models.preact_resnet import preact_resnet_small
from rbench.recipe import Ews
from rbench.rng import Draws
from rbench.training.ews import search as searching
from rbench.training.ews.choosing import choose
from rbench.training.ews.controller import Controller, Sampled
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import kept
from rbench.training.ranks import ALONE


def stream(index, name="test"):
    return Draws(0, name, torch.tensor([index]))


def small_net():
    torch.manual_seed(0)
    return preact_resnet_small(10, [0.3] * 3, [0.3] * 3, width=4)


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    rho=st.sampled_from([0.25, 0.5, 0.7, 0.9, 1.0]),
    paths=st.booleans(),
    index=st.integers(0, 2**40),
)
def test_exactly_rho_of_paths_and_channels_without_replacement(widths, rho, paths, index):
    controller = Controller(widths, rho, 6, paths=paths)
    controller.reset(1)
    sampled = controller(stream(index))
    assert len(sampled.choices) == len(widths)
    for width, (chosen, channels) in zip(widths, sampled.choices, strict=True):
        assert len(set(chosen)) == len(chosen) == (math.ceil(2 * rho) if paths else 2)
        assert set(chosen) <= {0, 1}
        if 0 in chosen:
            assert len(set(channels)) == len(channels) == kept(rho, width)
            assert set(channels) <= set(range(width))
        else:
            assert list(channels) == []


def test_choices_follow_the_distribution_of_draws_without_replacement():
    p = torch.tensor([0.5, 0.3, 0.2])
    counts, pairs, trials = torch.zeros(3), torch.zeros(3), 4000
    for index in range(trials):
        one, logs = choose(p.log(), 1, stream(index), 0)
        counts[one] += 1
        assert torch.allclose(logs, p.log()[one])
        pair, _ = choose(p.log(), 2, stream(index), 1)
        pairs[pair] += 1
    # The chance to be among two draws: p_i + sum over j != i of p_j p_i / (1 - p_j).
    among = torch.tensor([p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(3) if j != i) for i in range(3)])
    assert torch.allclose(counts / trials, p, atol=0.03)
    assert torch.allclose(pairs / trials, among, atol=0.03)


def test_log_prob_and_entropy_by_hand():
    # With every weight 0 the hidden state stays 0, so that the biases are the logits.
    controller = Controller([2, 3], 0.5, 5)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.zero_()
        controller.path_head.bias.copy_(torch.tensor([1.0, 0.0]))
        controller.channel_head.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    seen = set()
    for index in range(30):
        sampled = controller(stream(index))
        logs = []
        for width, (paths, channels) in zip([2, 3], sampled.choices, strict=True):
            logs += [[1.0, 0.0][path] - math.log(math.e + 1) for path in paths]
            total = math.log(sum(math.exp(c) for c in range(width)))  # over the block's own channels only
            logs += [channel - total for channel in channels]
            seen.add(tuple(paths))
        assert sampled.log_prob.item() == pytest.approx(sum(logs), abs=1e-5)
        assert sampled.entropy.item() == pytest.approx(-sum(math.exp(log) * log for log in logs), abs=1e-5)
    assert seen == {(0,), (1,)}


def test_untrained_controller_is_nearly_uniform_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    enhancer = Enhancer(small_net_without_seeding(), Ews(), seed=3)
    taken = torch.stack([enhancer.subnet(None, 0, index)[0].paths for index in range(400)]).mean(0)
    assert torch.allclose(taken, torch.tensor([0.5, 0.5]), atol=0.1)
    assert torch.equal(torch.get_rng_state(), before)


def small_net_without_seeding():
    with torch.random.fork_rng(devices=[]):
        return small_net()


def test_search_moves_probability_away_from_subnets_of_high_accuracy(monkeypatch):
    # A bandit: subnets that keep the residual path of the first block are right on every image, the others on none.
    y = torch.arange(10)

    def logits_of(model, x, subnet):
        right = torch.nn.functional.one_hot(y, 10).float()
        return right if subnet[0].paths[0] == 1 else -right

    monkeypatch.setattr(searching, "subnet_logits", logits_of)
    enhancer = Enhancer(small_net(), Ews(lr=0.01), seed=0)
    parts = [(torch.zeros(10, 3, 32, 32), y)]
    for turn in range(60):
        enhancer.search(small_net(), parts, ALONE, 0, turn)
    found = [accuracy for accuracy, _ in enhancer.found]
    assert enhancer.accuracy == pytest.approx(sum(found) / 60)
    assert {count for _, count in enhancer.found} == {10}
    assert 0.3 < sum(found[:5]) / 5 < 0.7
    assert sum(found[-5:]) / 5 < 0.1


def test_controller_does_not_move_without_advantage_and_entropy():
    enhancer = Enhancer(small_net(), Ews(entropy=0.0), seed=0)
    before = [parameter.clone() for parameter in enhancer.controller.parameters()]
    sampled = [enhancer.controller(stream(index)) for index in range(3)]
    enhancer.update(sampled, [-0.5] * 3)
    assert all(torch.equal(old, new) for old, new in zip(before, enhancer.controller.parameters(), strict=True))


def test_baseline_averages_rewards():
    enhancer = Enhancer(small_net(), Ews(decay=0.75), seed=0)
    for rewards in ([-0.2, -0.4], [-0.7, -0.7]):
        enhancer.update([enhancer.controller(stream(index)) for index in range(2)], rewards)
    assert enhancer.baseline == pytest.approx(0.75 * -0.3 + 0.25 * -0.7)


def test_entropy_bonus_spreads_the_choice():
    enhancer = Enhancer(small_net(), Ews(entropy=1.0, lr=0.01), seed=0)
    with torch.no_grad():
        enhancer.controller.path_head.bias.copy_(torch.tensor([-2.0, 2.0]))
    for index in range(40):
        enhancer.update([enhancer.controller(stream(index))], [-0.5])
    bias = enhancer.controller.path_head.bias
    assert bias[1] - bias[0] < 3.8


def test_gradients_are_cut(monkeypatch):
    enhancer = Enhancer(small_net(), replace(Ews(), clip=1e-3), seed=0)
    sampled = enhancer.controller(stream(0))
    enhancer.baseline = 0.0
    enhancer.update([Sampled(*sampled)], [-1.0])
    norm = torch.stack([p.grad.norm() for p in enhancer.controller.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_search_is_due_at_multiples_of_every_but_not_at_the_start():
    enhancer = Enhancer(small_net(), Ews(every=10), seed=0)
    assert [epoch for epoch in range(35) if enhancer.begin(epoch)] == [10, 20, 30]
    assert not any(enhancer.due(iteration) for iteration in range(5))
