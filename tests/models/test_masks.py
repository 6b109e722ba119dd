"""Subnets of every kind of residual block, and ResNet-50 against torchvision's."""

import pytest
import torch
import torchvision

from rbench.models.masks import BlockMask
from rbench.models.normalise import Normalise
from rbench.models.preact_resnet import PreActBlock
from rbench.models.resnet import Bottleneck, ResNet, ResNetBlock, resnet50
from rbench.models.twin import _fold

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BLOCKS = [ResNetBlock, Bottleneck, PreActBlock]


def settled(block, x):
    """The block in evaluation mode, with running statistics that are not the initial ones."""
    with torch.no_grad():
        for _ in range(3):
            block.train()(x)
    return block.eval()


def parts(block, x):
    """What residual branch and shortcut add up from, by the definition of each kind of block."""
    relu = torch.relu
    if isinstance(block, PreActBlock):
        a = relu(block.bn1(x))
        shortcut = x if block.shortcut is None else block.shortcut(a)
        return lambda mask: block.conv2(relu(block.bn2(block.conv1(a))) * mask), shortcut, lambda h: h
    if isinstance(block, Bottleneck):
        inner = relu(block.bn1(block.conv1(x)))
        return (
            lambda mask: block.bn3(block.conv3(relu(block.bn2(block.conv2(inner * mask))))),
            block.shortcut(x),
            relu,
        )
    inner = relu(block.bn1(block.conv1(x)))
    return lambda mask: block.bn2(block.conv2(inner * mask)), block.shortcut(x), relu


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize(("inputs", "stride"), [(8, 1), (16, 1), (16, 2)])
def test_masks_keep_what_they_say_and_nothing_else(kind, inputs, stride):
    torch.manual_seed(0)
    inputs = inputs * getattr(kind, "expansion", 1)
    x = torch.rand(4, inputs, 6, 6)
    block = settled(kind(inputs, 8, stride), x)
    assert block.width == 8
    assert block.filters.shape[0] == 8
    residual, shortcut, after = parts(block, x)
    channels = torch.tensor([1.0, 0, 0, 1, 1, 0, 1, 0])
    for paths in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0]):
        mask = BlockMask(torch.tensor(paths), channels)
        expected = after(paths[0] * residual(channels.view(1, -1, 1, 1)) + paths[1] * shortcut)
        assert torch.allclose(block(x, mask), expected, atol=1e-6)
    ones = BlockMask(torch.ones(2), torch.ones(8))
    assert torch.allclose(block(x, ones), block(x), atol=1e-6)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize(("inputs", "stride"), [(8, 1), (4, 2)])
def test_a_residual_branch_that_is_dropped_is_not_computed(kind, inputs, stride):
    torch.manual_seed(2)
    inputs = inputs * getattr(kind, "expansion", 1)
    x = torch.rand(4, inputs, 6, 6)
    block = settled(kind(inputs, 8, stride), x)
    dropped = BlockMask(torch.tensor([0.0, 1.0]), torch.ones(8))
    assert dropped.residual  # nobody has said otherwise, and the tensor may lie on a GPU
    ran = []
    block.conv2.register_forward_hook(lambda *_: ran.append(1))
    expected = block(x, dropped)
    assert ran == [1]
    assert torch.equal(block(x, dropped._replace(residual=False)), expected)
    assert ran == [1]


@pytest.mark.parametrize("kind", BLOCKS)
def test_channels_that_are_dropped_do_not_matter(kind):
    torch.manual_seed(1)
    x = torch.rand(2, 32, 4, 4)
    block = settled(kind(32, 8, 1), x)
    mask = BlockMask(torch.ones(2), torch.tensor([1.0, 0, 1, 1, 1, 1, 1, 1]))
    before = block(x, mask)
    with torch.no_grad():
        block.filters[1] += 5
    assert torch.equal(block(x, mask), before)
    with torch.no_grad():
        block.filters[0] += 5
    assert not torch.allclose(block(x, mask), before)


def test_dropout_drops_its_share_in_training_and_nothing_in_subnets():
    torch.manual_seed(0)
    block = ResNetBlock(8, 8, 1, dropout=0.4).train()
    x = torch.rand(16, 8, 8, 8) + 10  # a shortcut so large that ReLU lets everything pass
    inner = torch.relu(block.bn1(block.conv1(x)))
    residual = block.bn2(block.conv2(inner))
    added = block(x) - x
    dropped = added.abs() < 1e-5
    assert dropped.float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert torch.allclose(added[~dropped], residual[~dropped] / 0.6, atol=1e-4)
    ones = BlockMask(torch.ones(2), torch.ones(8))
    assert torch.allclose(block(x, ones), torch.relu(residual + x), atol=1e-5)


def test_resnet50_is_torchvisions():
    torch.manual_seed(0)
    oracle = torchvision.models.resnet50().eval()
    ours = resnet50(1000, MEAN, STD, stem="imagenet").eval()
    names = {"fc.": "linear.", "downsample": "shortcut"}
    state = {}
    for key, value in oracle.state_dict().items():
        for old, new in names.items():
            key = key.replace(old, new)  # noqa: PLW2901
        state[key] = value
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert set(missing) == {"normalise.mean", "normalise.std"}
    assert not unexpected
    x = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(ours(x), oracle(Normalise(MEAN, STD)(x)), atol=1e-4)


def test_a_network_runs_as_its_subnets_and_can_be_folded():
    torch.manual_seed(0)
    net = ResNet([1, 1, 1, 1], 10, Normalise(MEAN, STD), block=Bottleneck)
    x = torch.rand(8, 3, 32, 32)
    net(x)
    net.eval()
    assert [block.width for block in net.blocks] == [64, 128, 256, 512]
    ones = [BlockMask(torch.ones(2), torch.ones(block.width)) for block in net.blocks]
    assert torch.allclose(net(x, ones), net(x), atol=1e-5)
    ones[2] = BlockMask(torch.tensor([0.0, 1.0]), torch.ones(256))
    assert not torch.allclose(net(x, ones), net(x), atol=1e-3)
    folded = _fold(net)
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert torch.allclose(folded(x), net(x), atol=1e-4)
