"""AW-Net against arithmetic that is written out here, plain ResNets and finite differences."""

import dynamic
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rbench.attacks.joint import joint
from rbench.attacks.pgd import pgd
from rbench.attacks.routed import PLANS, routed
from rbench.cli import run as command
from rbench.errors import UsageError
from rbench.models.awnet import MixedAWNet, awnet, scaled
from rbench.models.hooks import hooks_of
from rbench.models.load import load_model
from rbench.models.mixbn import MixBN
from rbench.models.resnet import resnet, resnet18
from rbench.models.twin import accelerate
from rbench.rng import Draws
from rbench.types import Call, ModelCard, Threat

SMALL = {"depths": [1, 2], "widths": [4, 6], "router_depths": [1, 1], "router_widths": [3, 5], "stem": "digits"}
FILTERS = [4, 4, 6, 6, 6, 6]


def small(seed=0, heads=0.3, **other):
    """A small network with statistics and heads that are not the initial ones, in evaluation mode."""
    torch.manual_seed(seed)
    net = awnet(10, **{**SMALL, **other})
    with torch.no_grad():
        for parameter in net.router.heads.parameters():
            parameter.copy_(heads * torch.randn_like(parameter))
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return net.eval()


def images(n=6, seed=1, dtype=torch.float32):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("depths", "millions"), [([2, 2, 2, 2], 24.32), ([3, 4, 6, 3], 36.34)])
def test_parameter_counts_are_those_of_single_heads_with_bias(depths, millions):
    """Two ResNets, one of them without its classifier; twice the norms; 512 + 1 numbers a scaled filter, two a type."""
    with torch.device("meta"):
        net = awnet(10, depths=depths)
        plain, router = resnet(10, depths), resnet18(10)
    norms = sum(m.weight.numel() + m.bias.numel() for m in plain.modules() if isinstance(m, torch.nn.BatchNorm2d))
    filters = sum(2 * depth * width for depth, width in zip(depths, (64, 128, 256, 512), strict=True))
    expected = count(plain) + norms + count(router) - 5130 + 513 * filters + 2 * 513
    assert count(net) == expected
    assert round(expected / 1e6, 2) == millions


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_scales_by_hand(beta):
    net = small(beta=beta)
    x = images()
    psi = net.router.features(x)
    assert psi.shape == (6, 5)
    rows = [beta * torch.log1p(torch.tanh(psi @ head.weight.T + head.bias)) for head in net.router.heads]
    omega = torch.exp(torch.cat(rows, 1))  # the same power by another road
    code = net.route(x)
    assert code.shape == (6, 1 + sum(FILTERS))
    assert torch.allclose(code[:, 1:], omega, atol=1e-5)
    assert (code[:, 1:] > 0).all()
    assert (code[:, 1:] < 2**beta).all()
    assert torch.allclose(code[:, 0], torch.sigmoid(net.type_logits(x) @ torch.tensor([-1.0, 1.0])), atol=1e-6)


def test_a_scale_of_numbers():
    """At W psi = ln(3)/2, tanh is 1/2, and 1.5^3 = 3.375."""
    net = small(heads=0.0)
    with torch.no_grad():
        net.router.heads[2].bias[1] = np.log(3) / 2
        net.router.heads[2].bias[2] = -np.log(3) / 2
    found = net.route(images(2))[:, 1:]
    expected = torch.ones(2, sum(FILTERS))
    expected[:, 9], expected[:, 10] = 3.375, 0.125
    assert torch.allclose(found, expected, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_scaling_a_channel_is_scaling_its_filter(seed):
    rng = torch.Generator().manual_seed(seed)
    x, w = torch.randn(3, 2, 5, 5, generator=rng), torch.randn(4, 2, 3, 3, generator=rng)
    omega = 8 * torch.rand(3, 4, generator=rng)
    by_filter = [F.conv2d(x[i : i + 1], w * omega[i][:, None, None, None], padding=1) for i in range(3)]
    assert torch.allclose(scaled(F.conv2d(x, w, padding=1), omega), torch.cat(by_filter), atol=1e-4)


def as_plain(net, side):
    """The plain ResNet that has the weights of the dynamic branch, and the norms of one side."""
    plain = resnet(10, SMALL["depths"], SMALL["widths"], stem="digits")
    own, state = net.state_dict(), plain.state_dict()
    place = {"layer1.0": "blocks.0", "layer2.0": "blocks.1", "layer2.1": "blocks.2"}
    for key in state:
        name = key
        for layer, block in place.items():
            name = name.replace(layer, block)
        name = name.replace("shortcut.0", "shortcut").replace("shortcut.1", "shortcut_bn")
        parts = name.rsplit(".", 1)
        state[key] = own[name] if name in own else own[f"{parts[0]}.{side}.{parts[1]}"]
    plain.load_state_dict(state)
    return plain.eval()


@pytest.mark.parametrize(("side", "index"), [("nat", 0), ("adv", 1)])
def test_at_zero_heads_it_is_the_plain_resnet(side, index):
    net = small(heads=0.0)
    x = images()
    forced = net(x, code=net.branches(x)[index])
    assert torch.allclose(forced, as_plain(net, side)(x), atol=1e-5)


def test_the_whole_network_by_hand():
    """Scaled filters, sample by sample, and both norms of every layer mixed by P: nothing of the module's own code."""
    net = small()
    state, x = net.state_dict(), images(3)
    code = net.route(x).detach()

    def mixed(h, key, p):
        sides = []
        for side in ("nat", "adv"):
            part = {name: state[f"{key}.{side}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")}
            sides.append(F.batch_norm(h, **part))
        return p * sides[0] + (1 - p) * sides[1]

    found = []
    for image, own in zip(x, code, strict=True):
        p, omega = own[0], list(own[1:].split(FILTERS))
        h = F.relu(mixed(F.conv2d(image[None], state["conv1.weight"], stride=2, padding=1), "bn1", p))
        for block, stride in ((0, 1), (1, 2), (2, 1)):
            key, shortcut = f"blocks.{block}", h
            one, two = (state[f"{key}.conv{j}.weight"] * omega.pop(0)[:, None, None, None] for j in (1, 2))
            inner = F.relu(mixed(F.conv2d(h, one, stride=stride, padding=1), f"{key}.bn1", p))
            residual = mixed(F.conv2d(inner, two, padding=1), f"{key}.bn2", p)
            if stride == 2:
                shortcut = mixed(F.conv2d(h, state[f"{key}.shortcut.weight"], stride=2), f"{key}.shortcut_bn", p)
            h = F.relu(residual + shortcut)
        found.append(h.mean((2, 3)) @ state["linear.weight"].T + state["linear.bias"])
    assert torch.allclose(net(x), torch.cat(found), atol=1e-4)


def test_mixed_norms_by_hand():
    """Means 1 and -1, variances 1 - eps and 4 - eps: h = 3 is 2 for clean images and also 2 for adversarial ones."""
    norm = MixBN(1).eval()
    for side, mean, var in ((norm.nat, 1.0, 1.0), (norm.adv, -1.0, 4.0)):
        side.running_mean.fill_(mean)
        side.running_var.fill_(var - side.eps)
    h = torch.tensor([3.0, 3.0, 5.0, 5.0, 5.0]).view(5, 1, 1, 1)
    p = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.25])
    assert norm(h, p).flatten().tolist() == pytest.approx([2, 2, 4, 3, 0.25 * 4 + 0.75 * 3])
    assert norm(h, 3).flatten().tolist() == pytest.approx([2, 2, 4, 3, 3])
    assert MixBN(1, mixing=False).load_state_dict(norm.state_dict())
    only = MixBN(1, mixing=False).eval()
    only.load_state_dict(norm.state_dict())
    assert only(h, p).flatten().tolist() == pytest.approx([2, 2, 3, 3, 3])
    assert only(h, 5).flatten().tolist() == pytest.approx([2, 2, 4, 4, 4])  # known kinds pick, whatever is mixed


@pytest.mark.parametrize(("known", "untouched"), [(4, "adv"), (0, "nat")])
def test_norms_of_one_kind_never_see_the_other(known, untouched):
    norm = MixBN(2).train()
    h = torch.randn(4, 2, 3, 3) + 5
    norm(h, known)
    seen, other = (norm.nat, norm.adv) if untouched == "adv" else (norm.adv, norm.nat)
    assert seen.running_mean.tolist() == pytest.approx((0.1 * h.mean((0, 2, 3))).tolist(), rel=1e-5)
    assert other.running_mean.tolist() == [0, 0]
    assert (seen.num_batches_tracked, other.num_batches_tracked) == (1, 0)


@pytest.mark.parametrize("norms", ["mixed", "adversarial", "one"])
@pytest.mark.parametrize("order", [(True, False), (False, True), (True, True, False), (False,)])
def test_known_kinds_find_their_norms_whatever_the_order_of_views(norms, order):
    """In training mode, where each norm sees all views of its kind at once and the router sees all views."""
    net = small(norms=norms).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    views = [images(5, seed) for seed in range(len(order))]
    logits, kinds = net.informed(views, order)
    assert [tuple(part.shape) for part in logits] == [(5, 10)] * len(order)
    clean = torch.cat([torch.full((5,), known) for known in order])
    x = torch.cat(views)
    scales, types = net.router(x, net.beta)
    expected = torch.empty(len(x), 10)
    for kind in (True, False) if norms != "one" else (None,):
        rows = clean == kind if norms != "one" else torch.ones(len(x), dtype=torch.bool)
        if rows.any():
            expected[rows] = net.classified(x[rows], scales[rows], int(rows.sum()) if kind else 0)
    assert torch.allclose(torch.cat(logits), expected, atol=1e-5)
    assert torch.equal(torch.cat(kinds), types) if norms == "mixed" else kinds == []


def test_statistics_of_the_whole_network_are_kept_apart():
    net = small().train()
    before = {key: value.clone() for key, value in net.state_dict().items() if "running" in key}
    net.informed([images()], [True])
    changed = {key for key, value in before.items() if not torch.equal(value, net.state_dict()[key])}
    assert changed == {key for key in before if ".adv." not in key}
    assert any("router" in key for key in changed)


def test_samples_do_not_depend_on_one_another_and_codes_are_the_routers_own():
    net, x = small(), images()
    with torch.no_grad():
        whole = net(x)
        assert torch.allclose(whole, torch.cat([net(image[None]) for image in x]), atol=1e-5)
        assert torch.equal(whole, net(x, net.route(x)))
        assert torch.equal(whole, net(x, code=net.freeze_route(x)))
        assert torch.allclose(net(x[:3], code=net.route(x)[[2, 0, 1]])[0], net(x[:1], code=net.route(x[2:3]))[0], atol=1e-5)  # fmt: skip # noqa: E501
        clean, adversarial = net.branches(x)
        assert (clean[:, 0] == 1).all()
        assert (adversarial[:, 0] == 0).all()
        assert torch.equal(clean[:, 1:], net.route(x)[:, 1:])


def test_gradients_flow_through_the_router_as_finite_differences_say():
    """Central differences in float64 along random directions, of the network and of its router alone."""
    net = small().double()
    x = images(2, dtype=torch.float64)
    weights = torch.randn(2, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    frozen = net.route(x).detach()
    functions = {
        "full": lambda point: (net(point) * weights).sum(),
        "router": lambda point: (net(x, net.route(point)) * weights).sum(),
        "frozen": lambda point: (net(point, frozen) * weights).sum(),
    }
    gradients = {}
    for name, function in functions.items():
        point = x.clone().requires_grad_()
        (gradients[name],) = torch.autograd.grad(function(point), point)
        for seed in range(3):
            direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
            h = 1e-6
            slope = (function(x + h * direction) - function(x - h * direction)) / (2 * h)
            assert (gradients[name] * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4)
    assert gradients["router"].abs().max() > 1e-3
    assert torch.allclose(gradients["full"], gradients["router"] + gradients["frozen"], atol=1e-10)


@pytest.mark.parametrize(
    ("norms", "hooks"),
    [
        ("mixed", {"route", "freeze_route", "branches", "type_logits"}),
        ("adversarial", {"route", "freeze_route"}),
        ("one", {"route", "freeze_route"}),
    ],
)
def test_ablations_have_the_hooks_of_their_parts(norms, hooks):
    net = small(norms=norms)
    assert set(hooks_of(net)) == hooks
    x = images()
    assert torch.equal(net(x), net(x, net.route(x)))
    assert (net.router.kind is None) == (norms != "mixed")


def test_adversarial_norms_alone_are_the_mixture_at_no_probability():
    net, only = small(), small(norms="adversarial")
    only.load_state_dict({key: value for key, value in net.state_dict().items() if "router.kind" not in key})
    x = images()
    torch.testing.assert_close(only(x), net(x, code=net.branches(x)[1]), rtol=1e-5, atol=1e-5)


def test_the_twin_is_a_copy_with_all_hooks():
    net, x = small(), images()
    twin = accelerate(net, x)
    assert twin is not net
    assert isinstance(twin, MixedAWNet)
    assert torch.equal(twin(x), net(x))
    assert not any(parameter.requires_grad for parameter in twin.parameters())


@pytest.mark.parametrize("variant", PLANS)
def test_adaptive_attacks_accept_it(variant):
    net = small().double().requires_grad_(False)
    x, threat = images(4, dtype=torch.float64), Threat("linf", "16/255")
    y = net(x).argmax(1)
    x_adv = routed(net, x, y, threat, rng=Draws(0, "t", torch.arange(4)), variant=variant, steps=3, points=2)
    assert 0 < (x_adv - x).abs().max() <= 16 / 255 + 1e-9
    assert (net(x_adv).gather(1, y[:, None]) < net(x).gather(1, y[:, None])).any()


def test_the_joint_attack_makes_images_look_clean():
    net = small().double().requires_grad_(False)
    x, threat = images(8, dtype=torch.float64), Threat("linf", "16/255")
    y, rng = net(x).argmax(1), Draws(0, "t", torch.arange(8))
    plain = pgd(net, x, y, threat, rng=rng, steps=5, stop=False)
    disguised = joint(net, x, y, threat, rng=rng, steps=5, rel_step="1/4", type_weight=100.0, weight=0.0, stop=False)
    assert net.route(disguised)[:, 0].mean() > net.route(plain)[:, 0].mean()


def test_the_check_of_models_accepts_it(capsys):
    assert command(["check", "--model", f"{dynamic.__file__}:net", "--suite", "digits-linf"]) == 0
    out = capsys.readouterr().out
    assert "deterministic: two forward passes agree to the bit" in out
    assert "parameters, buffers and training flags: unchanged" in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"depths": [1, 1, 1]}, r"depths = \[1, 1, 1\] and widths = \[4, 6\] must each name a number"),
        ({"router_widths": [3]}, r"router_depths = \[1, 1\] and router_widths = \[3\] must"),
        ({"depths": [1, 0]}, r"depths = \[1, 0\] and widths"),
        ({"beta": 0.0}, "beta = 0.0 must be greater than 0"),
        ({"norms": "none"}, "norms = 'none': Input should be 'mixed', 'adversarial' or 'one'"),
    ],
)
def test_what_cannot_be_built_is_refused(args, message):
    card = ModelCard("n", "N", Call("rbench.models.awnet:awnet", {"classes": 10, **SMALL, **args}), "digits")
    with pytest.raises(UsageError, match=message):
        load_model(card, None)
