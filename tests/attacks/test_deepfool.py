"""DeepFool on linear models, where one step is exact, at the traps of rounding and box, and against other packages."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.attacks.deepfool import deepfool
from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.rng import Draws
from rbench.types import Threat

SHAPE, D, N = (3, 4, 4), 48, 20
FAR = {"linf": Threat("linf", "1"), "l2": Threat("l2", "100")}  # no limit at all
both = pytest.mark.parametrize("norm", ["linf", "l2"])


def problem(seed, classes=5, spread=0.2):
    """A linear model of several classes and images, far from the box, with the labels that the model gives them."""
    generator = torch.Generator().manual_seed(seed)
    model = linear(D, classes).double().requires_grad_(False)
    model.classifier.weight.copy_(torch.randn(classes, D, generator=generator))
    # At grey the weights say nothing, so that the biases alone keep the classes apart.
    model.classifier.bias.copy_(2 * torch.randn(classes, generator=generator) - 0.5 * model.classifier.weight.sum(1))
    x = 0.5 + spread * (torch.rand(N, *SHAPE, generator=generator, dtype=torch.float64) - 0.5)
    return model, x, model(x).argmax(1)


def boundaries(model, x, y, norm):
    """The distance of every image to the boundary of every other class, |f_k| / ||w_k||_*, infinite for its own."""
    z, weight = model(x), model.classifier.weight
    slopes = (weight[None] - weight[y][:, None]).norm(p=1 if norm == "linf" else 2, dim=2)
    return ((z.gather(1, y[:, None]) - z) / slopes).scatter(1, y[:, None], torch.inf)


def distances(x, x_adv, norm):
    return (x_adv - x).flatten(1).norm(p=torch.inf if norm == "linf" else 2, dim=1)


def run(model, x, y, threat, **params):
    return deepfool(model, x, y, threat, rng=Draws(0, "deepfool", torch.arange(len(x))), **params)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2"]), st.integers(2, 12), st.sampled_from([0.02, 0.2]))
def test_on_a_linear_model_one_step_is_the_shortest_way_out(seed, norm, classes, overshoot):
    model, x, y = problem(seed, classes)
    x_adv = run(model, x, y, FAR[norm], steps=1, overshoot=overshoot, candidates=classes)
    nearest, target = boundaries(model, x, y, norm).min(1)
    logits = model(x)
    gap = (logits.gather(1, y[:, None]) - logits.gather(1, target[:, None]))[:, 0]
    clear = overshoot * gap > 1e-3 * logits.abs().amax(1)  # nearer than rounding can tell, the way is made longer
    clear &= ((x_adv > 0) & (x_adv < 1)).flatten(1).all(1)  # at the end of the range of pixels the way is bent
    assert torch.allclose(distances(x, x_adv, norm)[clear], (1 + overshoot) * nearest[clear], rtol=1e-9)
    assert torch.equal(model(x_adv).argmax(1)[clear], target[clear])
    # Having crossed, a sample is left alone.
    more = run(model, x, y, FAR[norm], overshoot=overshoot, candidates=classes)
    assert torch.equal(x_adv[clear], more[clear])
    assert (model(more).argmax(1) != y).all()


@both
def test_only_the_candidates_of_the_largest_logits_are_looked_at(norm):
    model, x, _ = problem(1, classes=8, spread=0.002)
    # The farther below a class is, by k, the nearer it is: about k / 2^k.
    weight = model.classifier.weight.mul_(2.0 ** torch.arange(8)[:, None])
    model.classifier.bias.copy_(-0.5 * weight.sum(1) - torch.arange(8))
    y = model(x).argmax(1)
    assert (y == 0).all()
    away = boundaries(model, x, y, norm)
    order = model(x).argsort(1, descending=True)
    reached = {}
    for candidates in (2, 4, 8, 100):
        x_adv = run(model, x, y, FAR[norm], candidates=candidates)
        # A class left out may still be the first to win on the way to another.
        reached[candidates] = distances(x, run(model, x, y, FAR[norm], candidates=candidates, steps=1), norm)
        assert torch.allclose(reached[candidates], 1.02 * away.gather(1, order[:, 1:candidates]).amin(1), rtol=1e-9)
        assert (model(x_adv).argmax(1) != y).all()
    assert (reached[2] > 1.1 * reached[4]).all()
    assert (reached[4] > 1.1 * reached[8]).all()
    assert torch.equal(reached[8], reached[100])
    with pytest.raises(UsageError, match="candidates = 1 must be at least 2"):
        run(model, x, y, FAR[norm], candidates=1)


@both
def test_what_lies_outside_the_ball_is_moved_to_its_border_along_the_way(norm):
    model, x, y = problem(2)
    free = run(model, x, y, FAR[norm])
    eps = distances(x, free, norm).median().item()
    x_adv = run(model, x, y, Threat(norm, str(eps)))
    inside = distances(x, free, norm) <= eps
    assert torch.allclose(x_adv[inside], free[inside], atol=1e-12)
    shares = (eps / distances(x, free, norm)).clamp_max(1)[:, None, None, None]
    assert torch.allclose(x_adv, x + shares * (free - x), atol=1e-12)
    assert 0 < inside.sum() < N
    assert torch.equal(model(x_adv).argmax(1) != y, boundaries(model, x, y, norm).amin(1) < eps)


def linear_of_two(seed):
    model, x, _ = problem(seed, classes=2, spread=1.0)
    x = torch.where(x < 0.3, 0.0, torch.where(x > 0.7, 1.0, x))  # most pixels can move one way only
    return model, x, model(x).argmax(1)


@both
def test_at_the_edge_of_the_box_it_goes_on_until_it_crosses(norm):
    model, x, y = linear_of_two(3)
    x_adv = run(model, x, y, FAR[norm])
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert (model(x_adv).argmax(1) != y).all()
    # One step falls short, because the box cuts it.
    assert (model(run(model, x, y, FAR[norm], steps=1)).argmax(1) == y).all()
    # No way out is shorter than the one without a box, and the best within it, by bisection, is not much shorter.
    free = boundaries(model, x, y, norm).amin(1)
    assert (distances(x, x_adv, norm) >= free).all()
    if norm == "linf":
        weight = model.classifier.weight
        push = (weight[1 - y] - weight[y]).sign().view_as(x)
        low, high = torch.zeros(N, dtype=x.dtype), torch.ones(N, dtype=x.dtype)
        for _ in range(50):
            middle = (low + high) / 2
            out = model((x + middle[:, None, None, None] * push).clamp(0, 1)).argmax(1) != y
            low, high = torch.where(out, low, middle), torch.where(out, middle, high)
        assert (distances(x, x_adv, norm) >= high * (1 - 1e-9)).all()
        assert torch.allclose(distances(x, x_adv, norm), high, rtol=0.05)


@both
@pytest.mark.parametrize("lead", [0.0, 1e-9])
def test_an_image_on_the_boundary_itself_is_moved_across(norm, lead):
    model, x, _ = problem(4, classes=2)
    weight = (model.classifier.weight[0] - model.classifier.weight[1]).view(SHAPE)
    excess = (model(x)[:, 0] - model(x)[:, 1] - lead)[:, None, None, None]
    x = x - excess * weight / weight.square().sum()
    x_adv = run(model, x, torch.zeros(N, dtype=torch.int64), FAR[norm])
    assert (model(x_adv).argmax(1) == 1).all()
    assert distances(x, x_adv, norm).max() < 1e-3


class Roots(torch.nn.Module):
    """Class 1 wins where the mean of sqrt(x) exceeds 0.7, with an infinite slope at pixels of 0; class 2 never."""

    def forward(self, x):
        s = x.flatten(1).sqrt().mean(1)
        return torch.stack([torch.zeros_like(s), s - 0.7, torch.full_like(s, -5)], dim=1)


@both
def test_slopes_that_are_zero_or_infinite_neither_stop_nor_spoil_it(norm):
    x, y = torch.full((2, *SHAPE), 0.4), torch.zeros(2, dtype=torch.int64)
    x[0, 0, 0, 0] = 0
    x_adv = run(Roots(), x, y, FAR[norm])
    assert torch.isfinite(x_adv).all()
    assert (Roots()(x_adv).argmax(1) == 1).all()
    flat = linear(D, 3).requires_grad_(False)
    flat.classifier.weight.zero_()
    assert torch.equal(run(flat, x, flat(x).argmax(1), FAR[norm]), x)


def test_no_steps_leave_the_image_as_it_is():
    model, x, y = problem(5)
    assert torch.equal(run(model, x, y, FAR["l2"], steps=0), x)


def peer(name, model, x, y, norm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old packages on a new Python
        if name == "torchattacks":
            torchattacks = pytest.importorskip("torchattacks")
            return torchattacks.DeepFool(model, steps=50, overshoot=0.02)(x, y)
        foolbox = pytest.importorskip("foolbox")
        kind = foolbox.attacks.LinfDeepFoolAttack if norm == "linf" else foolbox.attacks.L2DeepFoolAttack
        attack = kind(steps=50, candidates=10, overshoot=0.02, loss="logits")
        return attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=None)[0]


@pytest.mark.parametrize(("name", "norm"), [("torchattacks", "l2"), ("foolbox", "l2"), ("foolbox", "linf")])
def test_distances_agree_with_other_packages(name, norm, small_net):
    x = 0.2 + 0.6 * torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    model = small_net.requires_grad_(False)
    y = model(x).argmax(1)
    theirs = distances(x, peer(name, model, x, y, norm), norm)
    ours = distances(x, run(model, x, y, FAR[norm]), norm)
    assert theirs.min() > 0
    assert abs((ours / theirs).median() - 1) < 0.03  # foolbox lengthens every step by 1e-4
