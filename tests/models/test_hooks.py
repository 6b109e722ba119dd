"""Hooks through the accelerated twin, and what passes through them."""

import pytest
import torch
from routed import Hinting, Linear, Masked, Quantised, Routed, problem
from torch import nn

import rbench
from rbench.catalog import Catalog
from rbench.errors import UsageError
from rbench.models.hooks import hooks_of, straight_through
from rbench.models.twin import Counted, accelerate

X = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_a_straight_through_value_has_the_gradient_of_the_soft_one():
    x = torch.tensor([0.3, 1.7], requires_grad=True)
    value = straight_through(x.round(), x**2)
    (grad,) = torch.autograd.grad(value.sum(), x)
    assert torch.equal(value.detach(), torch.tensor([0.0, 2.0]))
    assert torch.allclose(grad, 2 * x.detach())
    (detached,) = torch.autograd.grad(straight_through(3 * x, x).sum(), x)  # what is hard gives no gradient at all
    assert torch.equal(detached, torch.ones(2))


class Codeless(Linear):
    def route(self, x):
        return x


def test_hooks_are_those_that_a_model_has():
    assert hooks_of(Routed()).keys() == {"route", "branches", "type_logits"}
    assert hooks_of(Hinting()).keys() == {"bpda"}
    assert hooks_of(Linear()).keys() == set()
    assert hooks_of(Codeless()).keys() == set()  # a route that no forward pass takes


def test_the_twin_shows_the_hooks_of_the_model():
    model = Routed().eval()
    twin = Counted(accelerate(model, X), lambda _: None)
    assert twin.inner is not model
    code = model.route(X)
    assert torch.equal(twin.route(X), code)
    assert torch.equal(twin(X, code=code + 1), model(X, code=code + 1))
    assert not torch.equal(twin(X, code=code + 1), twin(X))
    assert torch.equal(twin.type_logits(X), model.type_logits(X))
    assert len(twin.branches(X)) == 2
    plain = Counted(accelerate(Linear().eval(), X), lambda _: None)
    assert not any(hasattr(plain, name) for name in ("route", "branches", "type_logits", "bpda"))


def test_passes_through_hooks_are_counted():
    ticks = []
    twin = Counted(Routed().requires_grad_(False), ticks.append)
    x = X.clone().requires_grad_()
    code = twin.route(x)
    logits = twin(x[:3], code=code[:3])
    torch.autograd.grad(logits.sum() + twin.type_logits(x).sum(), x)
    assert twin.take() == (8 + 3 + 8, 8 + 3 + 8)
    assert sum(ticks) == 19


def test_a_stand_in_gives_gradients_and_no_values():
    model, x, _ = problem(Hinting())
    twin = Counted(model, lambda _: None)
    point = x.clone().requires_grad_()
    logits = twin(point)
    assert torch.equal(logits.detach(), Quantised.forward(model, x))
    (grad,) = torch.autograd.grad(logits[:, 0].sum(), point)
    assert torch.allclose(grad.flatten(1), model.weight[0].expand(len(x), -1))
    assert twin.take() == (2 * len(x), len(x))
    with torch.no_grad():
        twin(x)
    assert twin.take() == (len(x), 0)


class RoutedDigits(nn.Module):
    """A masked router for digits, ten classes."""

    def __init__(self):
        super().__init__()
        self.net = Masked(10, 3072)

    def route(self, x):
        return self.net.route(x)

    def forward(self, x, code=None):
        return self.net(x, code)


def test_an_evaluation_finds_what_a_router_hides(suite):
    net, labels = RoutedDigits(), []
    frames = {}
    for variant in ("V0", "V1"):
        catalog = suite("rbench.attacks.routed:routed", f'{{ variant = "{variant}", steps = 5 }}', eps="1/255")
        run = rbench.evaluate(net, "quick", limit=100, catalog=catalog, runs=None, fresh=True)
        frames[variant] = run.samples[run.samples.probe == "second"]
        labels.append(run.scores["clean"].value)
    assert labels[0] == labels[1] > 0
    standing = {variant: (frame.pred == frame.label).mean() for variant, frame in frames.items()}
    assert standing["V1"] < standing["V0"]


@pytest.mark.parametrize("attack", ["routed:routed", "joint:joint"])
def test_a_model_without_the_hooks_is_refused_before_anything_runs(suite, small_net, tmp_path, attack):
    with pytest.raises(UsageError, match=r"probe 'second' needs a model with the hook .* choose a suite without"):
        rbench.evaluate(small_net, "quick", limit=20, catalog=suite(f"rbench.attacks.{attack}", "{}"))
    assert not list((tmp_path / "runs").rglob("*.parquet"))


def test_the_suite_for_routers_binds():
    from rbench.catalog import bind
    from rbench.engine import GIVEN

    catalog = Catalog.find()
    attacks = [probe.attack for probe in catalog.suite("digits-adaptive").probes if probe.attack is not None]
    assert {"variant", "version"} <= {key for attack in attacks for key in bind(attack, GIVEN).keywords}
