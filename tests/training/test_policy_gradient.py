"""The controller's gradient against the exact one, by enumeration of a search space of nine subnets."""

from itertools import product

import pytest
import torch

from rbench.recipe import Ews
from rbench.rng import Draws
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import PATHS

WIDTHS = (2, 2)


class Blocks(torch.nn.Module):
    """A network of which only the widths of its blocks matter."""

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in WIDTHS)
        for block, width in zip(self.blocks, WIDTHS, strict=True):
            block.width = width

    def forward(self, x, subnet=None):  # noqa: ARG002 - whoever takes masks takes this
        return x


@pytest.fixture
def enhancer():
    made = Enhancer(Blocks(), Ews(entropy=0.0, clip=1e9, hidden=7), seed=0)
    made.controller.double()
    with torch.no_grad():
        for parameter in made.controller.parameters():
            parameter.mul_(10)  # far from uniform
    made.optimiser.step = lambda: None
    return made


def probability(controller, choices):
    """The chance of a subnet, from the controller's weights by the equations of an LSTM."""
    cell = controller.cell
    h = c = given = torch.zeros(1, 7, dtype=torch.float64)
    chance = torch.ones((), dtype=torch.float64)

    def advance(given, h, c):
        gates = given @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    for block, (path, channel) in enumerate(choices):
        table = controller.tables[block].weight
        h, c = advance(given, h, c)
        weights = (h @ controller.path_head.weight.T + controller.path_head.bias)[0].exp()
        chance = chance * weights[path] / weights.sum()
        given = table[[path]]
        if path == 0:
            h, c = advance(given, h, c)
            weights = (h @ controller.channel_head.weight.T + controller.channel_head.bias)[0].exp()
            chance = chance * weights[channel] / weights.sum()
            given = table[[PATHS + channel]]
    return chance


def plain(sampled):
    """A sampled subnet as (path, channel or None) of each block."""
    return tuple((paths[0], channels[0] if paths[0] == 0 else None) for paths, channels in sampled.choices)


EVERY = list(product([(0, 0), (0, 1), (1, None)], repeat=2))
REWARDS = dict(zip(EVERY, [-0.9, -0.1, -0.5, -0.3, -0.8, -0.2, -0.6, -0.4, -0.7], strict=True))


def gradients(controller):
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in controller.parameters()]


def test_expected_update_is_the_gradient_of_the_expected_reward(enhancer):
    controller = enhancer.controller
    chances = {choices: probability(controller, choices) for choices in EVERY}
    assert sum(chances.values()).item() == pytest.approx(1)
    reward = sum(chance * REWARDS[choices] for choices, chance in chances.items())
    controller.zero_grad()
    reward.backward()
    exact = gradients(controller)
    found, index = {}, 0
    while len(found) < len(EVERY):  # until the controller has sampled every subnet
        sampled = controller(Draws(0, "test", torch.tensor([index])))
        found.setdefault(plain(sampled), sampled)
        index += 1
    expected = [torch.zeros_like(gradient) for gradient in exact]
    for choices, sampled in found.items():
        assert sampled.log_prob.exp().item() == pytest.approx(chances[choices].item(), rel=1e-9)
        enhancer.baseline = -0.37  # any constant: its part cancels in the expectation
        enhancer.update([sampled], [REWARDS[choices]])
        weight = chances[choices].detach()
        expected = [total + weight * part for total, part in zip(expected, gradients(controller), strict=True)]
    # What is minimised is minus the reward, that is the accuracy of the subnets.
    for total, gradient in zip(expected, exact, strict=True):
        assert torch.allclose(total, -gradient, rtol=0, atol=1e-9)
    assert max(gradient.abs().max() for gradient in exact) > 1e-3


def test_subnets_are_sampled_as_often_as_they_are_likely(enhancer):
    controller, trials = enhancer.controller, 3000
    counts = dict.fromkeys(EVERY, 0)
    with torch.no_grad():
        for index in range(trials):
            counts[plain(controller(Draws(1, "test", torch.tensor([index]))))] += 1
        for choices, count in counts.items():
            chance = probability(controller, choices).item()
            assert count / trials == pytest.approx(chance, abs=4 * (chance * (1 - chance) / trials) ** 0.5 + 1e-3)


def test_a_step_of_the_controller_lowers_the_accuracy_of_what_it_will_sample(enhancer):
    controller = enhancer.controller
    enhancer.optimiser = torch.optim.SGD(controller.parameters(), lr=0.5)

    def expected():
        with torch.no_grad():
            return sum(probability(controller, choices) * REWARDS[choices] for choices in EVERY).item()

    before = expected()
    for turn in range(40):
        sampled = [controller(Draws(2, "test", torch.tensor([8 * turn + index]))) for index in range(8)]
        enhancer.update(sampled, [REWARDS[plain(one)] for one in sampled])
    assert expected() > before + 0.05  # a higher reward is a lower accuracy
