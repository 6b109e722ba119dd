"""Random points: what was drawn, whether the best was kept, and what chance gives on a linear model."""

import pytest
import torch

from rbench.attacks.noise import noise
from rbench.models.linear import linear
from rbench.rng import Draws
from rbench.types import Threat

SHAPE, N = (3, 4, 4), 200
THREATS = [Threat("linf", "1/10"), Threat("l2", "1/2")]
both = pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.norm)


class Watched(torch.nn.Module):
    """A linear model, class 0 ahead by `lead` at grey, that remembers what it was shown."""

    def __init__(self, lead):
        super().__init__()
        self.inner = linear(48, 2).double().requires_grad_(False)
        self.inner.classifier.weight.copy_(torch.randn(2, 48, generator=torch.Generator().manual_seed(0)))
        self.slope = self.inner.classifier.weight[0] - self.inner.classifier.weight[1]
        self.inner.classifier.bias.copy_(torch.stack([lead - 0.5 * self.slope.sum(), torch.tensor(0.0)]))
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return self.inner(x)

    def margins(self, x):
        logits = self.inner(x)
        return logits[:, 0] - logits[:, 1]


def run(model, threat, x=None, **params):
    x = torch.full((N, *SHAPE), 0.5, dtype=torch.float64) if x is None else x
    y, draws = torch.zeros(len(x), dtype=torch.int64), Draws(0, "noise", torch.arange(len(x)))
    return x, noise(model, x, y, threat, rng=draws, **params)


@both
def test_the_point_of_least_margin_is_returned(threat):
    model = Watched(lead=100)
    _, x_adv = run(model, threat, draws=12)
    margins = torch.stack([model.margins(x) for x in model.seen])
    assert len(model.seen) == 12
    assert torch.equal(model.margins(x_adv), margins.amin(0))
    assert len(margins.argmin(0).unique()) == 12  # each draw is the best of some sample


@both
def test_on_a_linear_model_the_margin_varies_as_the_law_of_the_points_says(threat):
    model = Watched(lead=100)
    run(model, threat, draws=40)
    moved = torch.stack([model.margins(x) for x in model.seen]) - 100
    ours, corners = moved[::2], moved[1::2]
    # Variance of a coordinate: eps^2/3 uniform, eps^2 at a corner; eps^2/(d + 2) in the ball, eps^2/d on its sphere.
    shares = (1 / 3, 1) if threat.norm == "linf" else (1 / 50, 1 / 48)
    for values, share in zip((ours, corners), shares, strict=True):
        expected = threat.radius * model.slope.norm() * share**0.5
        assert abs(values.std() / expected - 1) < 0.04  # 4,000 values: a standard error of 0.011
        assert abs(values.mean()) < 0.06 * expected


@both
def test_every_other_point_is_extreme_unless_corners_are_off(threat):
    def extreme(x, corner):
        delta = (corner - x).flatten(1)
        size = delta.abs() if threat.norm == "linf" else delta.norm(dim=1)
        return bool(((size - threat.radius).abs() < 1e-12).all())

    for corners in (True, False):
        model = Watched(lead=100)
        x, _ = run(model, threat, draws=6, corners=corners)
        assert [extreme(x, seen) for seen in model.seen] == [False, corners] * 3


@both
def test_points_at_the_edge_of_the_box_stay_in_it_and_no_two_are_alike(threat):
    model = Watched(lead=1000)
    x = torch.cat([torch.zeros(2, *SHAPE), torch.ones(2, *SHAPE)]).double()
    run(model, threat, x=x, draws=20)
    seen = torch.stack(model.seen)
    assert seen.min() == 0
    assert seen.max() == 1
    assert len(seen.flatten(0, 1).flatten(1).unique(dim=0)) == 80


@both
def test_a_sample_that_has_fallen_is_left_alone(threat):
    model = Watched(lead=0.05)  # a coin's toss
    _, x_adv = run(model, threat, draws=1000)
    assert (model.margins(x_adv) < 0).all()
    assert len(model.seen) < 100
    sizes = [len(shown) for shown in model.seen]
    assert sizes[0] == N
    assert sizes[1] < 0.7 * N
    # Its first success is what is kept.
    first = model.margins(model.seen[0]) < -1e-2
    assert torch.equal(x_adv[first], model.seen[0][first])
