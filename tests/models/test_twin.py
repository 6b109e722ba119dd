import copy

import pytest
import torch
from torch import fx, nn

from rbench.errors import ModelError
from rbench.models.twin import Affine, Counted, accelerate
from rbench.models.wide_resnet import wide_resnet

X = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_the_twin_computes_the_same_with_every_norm_folded(small_net):
    twin = accelerate(small_net, X)
    assert norms(small_net)
    assert not norms(twin)
    assert any(isinstance(m, Affine) for m in twin.modules())
    assert torch.allclose(twin(X), small_net(X), atol=1e-5)
    grads = []
    for model in (twin, small_net):
        x = X.clone().requires_grad_()
        grads.append(torch.autograd.grad(model(x).logsumexp(1).sum(), x)[0])
    assert torch.allclose(*grads, atol=1e-5)


def test_folding_is_exact_in_float64():
    torch.manual_seed(1)
    model = wide_resnet(10, 2, 10, [0.5] * 3, [0.25] * 3).double()
    model(torch.rand(64, 3, 32, 32).double())
    model.eval()
    x = X.double()
    assert (accelerate(model, x)(x) - model(x)).abs().max() < 1e-12


def test_the_twin_is_frozen_and_a_copy(small_net):
    before = copy.deepcopy(small_net.state_dict())
    twin = accelerate(small_net, X)
    assert not any(p.requires_grad for p in twin.parameters())
    assert not twin.training
    for parameter in twin.parameters():
        parameter.data.zero_()
    assert all(torch.equal(value, before[name]) for name, value in small_net.state_dict().items())
    assert all(p.requires_grad for p in small_net.parameters())


class Dynamic(nn.Module):
    """Python control flow on values cannot be traced."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(3600, 10))

    def forward(self, x):
        return self.body(x) if x.sum() > 0 else self.body(-x)


class Shared(nn.Module):
    """One convolution read by two norms, and called twice: nothing here may be folded into it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.two.running_mean.fill_(0.5)

    def forward(self, x):
        return torch.cat([self.one(self.conv(x)), self.two(self.conv(x))], 1).mean((2, 3))


class Uncopyable(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))

    def __deepcopy__(self, memo):
        raise TypeError("no copies")


@pytest.mark.parametrize("model", [Dynamic(), Shared(), Uncopyable()], ids=lambda m: type(m).__name__)
def test_whatever_cannot_be_folded_still_computes_the_same(model):
    model.eval()
    assert torch.allclose(accelerate(model, X)(X), model(X), atol=1e-6)


class Deceptive(nn.Module):
    """Shows another face to whoever traces it."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(x.mean((2, 3))) * (100 if isinstance(x, fx.Proxy) else 1)


def test_a_twin_that_would_differ_is_not_used():
    assert isinstance(accelerate(Deceptive().eval(), X), Deceptive)


class StraightThrough(torch.autograd.Function):
    """Rounds, with the gradient of the identity: what a defence needs to be attacked at all."""

    @staticmethod
    def forward(_ctx, x):
        return (x * 8).round() / 8

    @staticmethod
    def backward(_ctx, grad):
        return grad


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(StraightThrough.apply(x).mean((2, 3)))


def test_a_gradient_of_the_models_own_survives():
    model = Quantised().eval()
    grads = []
    for net in (model, accelerate(model, X)):
        x = X.clone().requires_grad_()
        grads.append(torch.autograd.grad(net(x)[:, 0].sum(), x)[0])
    assert grads[0].abs().max() > 0
    assert torch.allclose(*grads)


class Brittle(nn.Module):
    def forward(self, x):
        return x.flatten(1) / (x.flatten(1) != 0.25)


def test_logits_that_are_not_finite_are_noticed_even_if_nobody_looks():
    counted = Counted(Brittle(), lambda _: None)
    counted(torch.full((2, 3, 1, 1), 0.5))
    counted.take()
    counted(torch.full((2, 3, 1, 1), 0.25))
    counted(torch.full((2, 3, 1, 1), 0.5))
    with pytest.raises(ModelError, match="NaN or infinite logits"):
        counted.take()
    assert counted.take() == (0, 0)


def test_passes_are_counted_exactly(small_net):
    ticks = []
    counted = Counted(accelerate(small_net, X), ticks.append)
    x = X.clone().requires_grad_()
    logits = counted(x)
    torch.autograd.grad(logits.sum(), x, retain_graph=True)
    torch.autograd.grad(logits[:, 0].sum(), x)
    with torch.no_grad():
        counted(X[:7])
    assert counted.take() == (27, 40)
    assert counted.take() == (0, 0)
    assert ticks == [20, 7]
