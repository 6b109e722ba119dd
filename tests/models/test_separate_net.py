"""Separate-Net against its two networks alone, and a mixture in plain Python."""

import math

import dynamic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rbench.attacks.joint import joint
from rbench.attacks.pgd import pgd
from rbench.attacks.routed import PLANS, routed
from rbench.errors import UsageError
from rbench.models.hooks import hooks_of
from rbench.models.load import load_model
from rbench.models.separate import SeparateNet, separate_net
from rbench.models.twin import accelerate
from rbench.rng import Draws
from rbench.types import Call, ModelCard, Threat


def small(dtype=torch.float32):
    """A small network with statistics that are not the initial ones, in evaluation mode."""
    model = dynamic.separate().to(dtype)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return model.eval().requires_grad_(False)


def images(n=6, seed=1, dtype=torch.float32):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Says(nn.Module):
    """The same logits for every image."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def test_a_mixture_of_numbers():
    """P(clean) = 3/4, probabilities (1/2, 1/2) of the one and (1/5, 4/5) of the other network."""
    model = SeparateNet(Says(7.0, 7.0), Says(0.0, math.log(4)), Says(0.0, math.log(3)))
    found = model(torch.zeros(1, 3, 2, 2)).exp().flatten().tolist()
    assert found == pytest.approx([0.75 / 2 + 0.25 / 5, 0.75 / 2 + 0.25 * 4 / 5])


@settings(deadline=None, max_examples=50)
@given(*([st.lists(st.floats(-30, 30), min_size=n, max_size=n) for n in (4, 4, 2)]), st.floats(-50, 50))
def test_the_mixture_by_hand(clean, robust, kinds, scale):
    """In plain Python; and a constant that is added to the logits of one network changes nothing."""

    def softmax(values):
        exps = [math.exp(value - max(values)) for value in values]
        return [value / sum(exps) for value in exps]

    p = softmax(kinds)[1]
    expected = [p * a + (1 - p) * b for a, b in zip(softmax(clean), softmax(robust), strict=True)]
    moved = [value + scale for value in clean]
    model = SeparateNet(Says(*moved), Says(*robust), Says(*kinds))
    assert model(torch.zeros(1, 1)).exp().flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_forced_codes_leave_one_network_alone():
    model, x = small(), images()
    clean, adversarial = model.branches(x)
    assert torch.equal(model(x, code=clean), model.clean(x).log_softmax(1))
    assert torch.equal(model(x, code=adversarial), model.robust(x).log_softmax(1))
    assert not torch.allclose(model(x, code=clean), model(x, code=adversarial), atol=1e-3)
    row = torch.stack([clean[0], adversarial[1]])
    assert torch.allclose(model(x[:2], code=row)[1], model.robust(x[1:2]).log_softmax(1)[0], atol=1e-6)


def test_codes_are_the_routers_own():
    model, x = small(), images()
    whole = model(x)
    assert torch.equal(whole, model(x, code=model.route(x)))
    assert torch.equal(whole, model(x, code=model.freeze_route(x)))
    assert torch.equal(model.route(x), model.router(x))
    assert torch.allclose(whole, torch.cat([model(image[None]) for image in x]), atol=1e-5)
    assert torch.allclose(whole.exp().sum(1), torch.ones(6), atol=1e-6)
    assert set(hooks_of(model)) == {"route", "freeze_route", "branches", "type_logits"}
    assert type(accelerate(model, x)) is SeparateNet


@pytest.mark.parametrize("kinds", [0.0, 40.0, -40.0, 300.0])
def test_gradients_flow_through_the_router_even_where_it_is_sure(kinds):
    """P is 0 or 1 in single precision at 40. The gradient in the type logits is P (1 - P) (p - q) / mixture."""
    model = SeparateNet(Says(2.0, 0.0), Says(0.0, 1.0), Says(0.0, kinds)).float()
    model(torch.zeros(1, 1))[0, 0].backward()
    p, a, b = 1 / (1 + math.exp(-kinds)), 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    rest = math.exp(-kinds) / (1 + math.exp(-kinds))  # 1 - p, to all digits
    expected = p * rest * (a - b) / (p * a + rest * b)
    assert model.router.logits.grad[1].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_forced_codes_have_finite_gradients():
    model, x = small(), images(2).requires_grad_()
    for code, network in zip(model.branches(x), (model.clean, model.robust), strict=True):
        (found,) = torch.autograd.grad(model(x, code=code)[:, 0].sum(), x)
        (expected,) = torch.autograd.grad(network(x).log_softmax(1)[:, 0].sum(), x)
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("order", [(True, False), (False, True), (True, True, False), (False,)])
def test_known_kinds_find_their_network_whatever_the_order_of_views(order):
    """In training mode, where a network sees all views of its kind at once and the router sees all views."""
    model = small().train()
    views = [images(5, seed) for seed in range(len(order))]
    logits, kinds = model.informed(views, order)
    assert [tuple(part.shape) for part in logits] == [(5, 10)] * len(order)
    clean, x = torch.tensor(order).repeat_interleave(5), torch.cat(views)
    for known, network in ((True, model.clean), (False, model.robust)):
        if known in order:
            assert torch.allclose(torch.cat(logits)[clean == known], network(x[clean == known]), atol=1e-5)
    assert torch.allclose(torch.cat(kinds), model.router(x), atol=1e-5)


@pytest.mark.parametrize(("known", "other"), [(True, "robust"), (False, "clean")])
def test_images_of_one_kind_touch_one_network(known, other):
    """Neither weights nor statistics of the other one move."""
    model = small().train().requires_grad_()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    logits, kinds = model.informed([images()], [known])
    (logits[0].logsumexp(1).sum() + kinds[0].logsumexp(1).sum()).backward()
    learnt = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learnt == {name for name, _ in model.named_parameters() if not name.startswith(f"{other}.")}
    seen = {name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])}
    assert seen == {name for name in before if not name.startswith(f"{other}.")}


@pytest.mark.parametrize("variant", PLANS)
def test_adaptive_attacks_accept_it(variant):
    model = small(torch.float64)
    x, threat = images(4, dtype=torch.float64), Threat("linf", "16/255")
    y = model(x).argmax(1)
    x_adv = routed(model, x, y, threat, rng=Draws(0, "t", torch.arange(4)), variant=variant, steps=3, points=2)
    assert 0 < (x_adv - x).abs().max() <= 16 / 255 + 1e-9
    assert (model(x_adv).gather(1, y[:, None]) < model(x).gather(1, y[:, None])).any()


def test_the_joint_attack_makes_images_look_clean():
    model = small(torch.float64)
    x, threat = images(8, dtype=torch.float64), Threat("linf", "16/255")
    y, rng = model(x).argmax(1), Draws(0, "t", torch.arange(8))
    plain = pgd(model, x, y, threat, rng=rng, steps=5, stop=False)
    disguised = joint(model, x, y, threat, rng=rng, steps=5, rel_step="1/4", type_weight=100.0, weight=0.0, stop=False)
    cleanness = [model.type_logits(z).softmax(1)[:, 1].mean() for z in (disguised, plain)]
    assert cleanness[0] > cleanness[1]


def test_at_the_size_of_the_paper_one_image_passes():
    model = separate_net(10).eval()
    with torch.no_grad():
        assert model(images(1)).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_built_is_refused():
    card = ModelCard("n", "N", Call("rbench.models.separate:separate_net", {"classes": 10, "depths": [1, 1]}), "digits")
    with pytest.raises(UsageError, match=r"depths = \[1, 1\] and widths = \[64, 128, 256, 512\] must"):
        load_model(card, None)
