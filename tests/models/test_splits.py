"""Splits of networks, against layers that were counted by hand and the splits of the authors' program."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rbench.errors import UsageError
from rbench.models.densenet import densenet121
from rbench.models.linear import linear
from rbench.models.preact_resnet import preact_resnet18, preact_resnet_small
from rbench.models.resnet import resnet18, resnet50
from rbench.models.robnet import robnet
from rbench.models.splits import layers_of, split
from rbench.models.wide_resnet import wide_resnet

PLAIN = ([0.0] * 3, [1.0] * 3)
ROBNET = [" ".join(["01"] * 14)]  # a convolution on every edge
DIGITS = [
    *("stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2", "blocks.1.shortcut"),
    *("blocks.2.conv1", "blocks.2.conv2", "blocks.2.shortcut", "classifier"),
]


def on_paper(build):
    """A network and an image without values: only the order counts."""
    with torch.device("meta"):
        return build(), torch.zeros(1, 3, 32, 32)


def owners(names):
    return {name.rpartition(".")[0] for name in names}


def of_block(block, shortcut):
    """All modules of a block of ResNet-18."""
    own = {f"{block}.{part}" for part in ("conv1", "bn1", "conv2", "bn2")}
    return own | ({f"{block}.shortcut.0", f"{block}.shortcut.1"} if shortcut else set())


def test_resnet18_has_21_layers_and_splits_where_the_authors_split_it():
    model, x = on_paper(lambda: resnet18(10))
    layers = layers_of(model, x)
    assert len(layers) == 21  # the stem, 16 in blocks, 3 shortcuts, the classifier
    assert layers[:3] == ("conv1", "layer1.0.conv1", "layer1.0.conv2")
    assert layers[-5:] == ("layer4.0.conv2", "layer4.0.shortcut.0", "layer4.1.conv1", "layer4.1.conv2", "linear")
    four = split(model, x, 4)
    assert (four.first, four.start) == ("layer4.0.shortcut.0", 17)
    assert owners(four.f_b) == {"layer4.0.shortcut.0", "layer4.0.shortcut.1", *of_block("layer4.1", False), "linear"}
    eight = split(model, x, 8)
    assert eight.first == "layer3.1.conv1"
    twelve = split(model, x, 12)
    assert (twelve.first, twelve.start) == ("layer2.1.conv2", 9)
    later = [of_block(f"layer{k}.{place}", place == 0) for k in (3, 4) for place in (0, 1)]
    assert owners(twelve.f_b) == {"layer2.1.conv2", "layer2.1.bn2", "linear"}.union(*later)
    assert "layer2.1.bn1.running_mean" in twelve.f_a


def test_wrn34_has_35_layers_and_splits_where_the_authors_split_it():
    model, x = on_paper(lambda: wide_resnet(34, 10, 10, *PLAIN))
    layers = layers_of(model, x)
    assert len(layers) == 35  # the stem, 2 in each of 15 blocks, 3 shortcuts, the classifier
    assert layers[:5] == ("stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.0.shortcut", "blocks.1.conv1")
    four = split(model, x, 4)
    assert owners(four.f_b) == {
        *("blocks.13.conv2", "blocks.14.bn1", "blocks.14.conv1", "blocks.14.bn2", "blocks.14.conv2"),
        *("bn", "classifier"),
    }
    assert "blocks.13.bn2" in owners(four.f_a)  # it runs right before the first layer of f_b
    twelve = split(model, x, 12)
    assert twelve.first == "blocks.10.conv1"
    assert owners(twelve.f_b) == {
        *{f"blocks.{k}.{part}" for k in range(10, 15) for part in ("bn1", "conv1", "bn2", "conv2")} - {"blocks.10.bn1"},
        *("blocks.10.shortcut", "bn", "classifier"),
    }


def test_the_network_for_digits_by_hand():
    model, x = preact_resnet_small(10, *PLAIN, width=4), torch.rand(1, 3, 32, 32)
    assert list(layers_of(model, x)) == DIGITS
    found = split(model, x, 4)
    assert found.first == "blocks.2.conv1"
    assert sorted(owners(found.f_b)) == [
        "blocks.2.bn2", "blocks.2.conv1", "blocks.2.conv2", "blocks.2.shortcut", "bn", "classifier",
    ]  # fmt: skip
    assert found.f_a[:2] == ("normalise.mean", "normalise.std")
    assert "blocks.2.bn1.num_batches_tracked" in found.f_a


@settings(deadline=None)
@given(st.integers(1, 9))
def test_what_f_b_is_made_of_cannot_change_the_features_of_f_a(last):
    """The oracle is the network itself: with other values all over f_b the first layer of f_b gets the same input."""
    torch.manual_seed(0)
    model, x = preact_resnet_small(10, *PLAIN, width=4).eval(), torch.rand(2, 3, 32, 32)
    found = split(model, x, last)
    assert sorted(found.f_a + found.f_b) == sorted(model.state_dict())
    seen = []
    model.get_submodule(found.first).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    with torch.no_grad():
        before = model(x)
        for name in found.f_b:
            model.state_dict()[name].add_(1)
        after = model(x)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(before, after)


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (lambda: preact_resnet18(10, *PLAIN), 21),
        (lambda: resnet50(10, *PLAIN), 54),  # the stem, 3 in each of 16 blocks, 4 shortcuts, the classifier
        (lambda: densenet121(10), 121),
        (lambda: robnet(ROBNET, 4, 3, 10), None),
    ],
)
def test_every_layer_of_an_architecture_is_counted_once(build, count):
    model, x = on_paper(build)
    own = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    layers = layers_of(model, x)
    assert sorted(layers) == sorted(own)
    assert count in (None, len(layers))
    assert isinstance(model.get_submodule(layers[-1]), nn.Linear)


def test_layers_count_as_they_run_and_not_as_they_are_registered():
    """The denoising blocks of a RobNet are registered after all its cells, and run between them."""
    model, x = on_paper(lambda: robnet(ROBNET, 4, 3, 10, denoise=True))
    layers = layers_of(model, x)
    denoising = [index for index, name in enumerate(layers) if name.startswith("after.1")]
    last_cell = [index for index, name in enumerate(layers) if name.startswith("cells.2")]
    assert denoising
    assert max(denoising) < min(last_cell)


def test_what_never_runs_by_itself_goes_with_what_is_around_it():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.gain = nn.Parameter(torch.ones(1))
            self.hidden = nn.Linear(2, 2)

        def forward(self, x):
            return nn.functional.linear(self.inner(x), self.hidden.weight, self.hidden.bias) * self.gain

    model = nn.Sequential(nn.Linear(2, 2), Scaled(), nn.Linear(2, 2))
    found = split(model, torch.zeros(1, 2), 1)
    assert found.layers == ("0", "1.inner", "2")
    assert {"1.gain", "1.hidden.weight"} <= set(found.f_a)
    assert {"1.gain", "1.hidden.weight"} <= set(split(model, torch.zeros(1, 2), 2).f_a)  # it starts before its inner


def test_a_split_leaves_the_network_as_it_was():
    model, x = preact_resnet_small(10, *PLAIN, width=4), torch.rand(4, 3, 32, 32)
    model.blocks[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    split(model, x, 2)
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("last", [-1, 0, 10, 12])
def test_a_split_out_of_range_is_refused(last):
    model = preact_resnet_small(10, *PLAIN, width=4)
    message = rf"last {last} of the 10 layers .* of PreActResNet; choose a number from 1 to 9\."
    with pytest.raises(UsageError, match=message):
        split(model, torch.zeros(1, 3, 32, 32), last)
    with pytest.raises(UsageError, match=r"of the 1 layers"):
        split(linear(3 * 32 * 32, 10), torch.zeros(1, 3, 32, 32), 1)
