import pytest
import torch

from rbench.models.masks import BlockMask
from rbench.models.preact_resnet import PreActBlock, preact_resnet_small

MEAN, STD = [0.3] * 3, [0.3] * 3


def twins(rate):
    """The same network without and with dropout."""
    torch.manual_seed(0)
    plain = preact_resnet_small(10, MEAN, STD, width=4)
    dropping = preact_resnet_small(10, MEAN, STD, width=4, dropout=rate)
    dropping.load_state_dict(plain.state_dict())  # the same keys
    return plain, dropping


@pytest.fixture
def x():
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_evaluation_drops_nothing(x):
    plain, dropping = twins(0.5)
    assert torch.equal(dropping.eval()(x), plain.eval()(x))


def test_the_argument_left_out_or_zero_changes_nothing(x):
    plain, dropping = twins(0.0)
    state = torch.get_rng_state()
    assert torch.equal(dropping.train()(x), plain.train()(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert not [module for module in dropping.modules() if isinstance(module, torch.nn.Dropout)]


@pytest.mark.parametrize("rate", [0.1, 0.4])
@pytest.mark.parametrize("stride", [1, 2])
def test_training_drops_its_share_of_the_residual_and_none_of_the_shortcut(rate, stride):
    torch.manual_seed(0)
    block = PreActBlock(8, 8, stride, dropout=rate).train()
    h = torch.randn(32, 8, 16, 16)
    activated = torch.relu(block.bn1(h))
    shortcut = h if block.shortcut is None else block.shortcut(activated)
    residual = block.conv2(torch.relu(block.bn2(block.conv1(activated))))
    found = block(h) - shortcut
    dropped = found.abs() < 1e-6
    assert dropped.float().mean().item() == pytest.approx(rate, abs=0.01)
    assert torch.allclose(found[~dropped], residual[~dropped] / (1 - rate), atol=1e-5)
    # Single values are dropped: no channel is as a whole.
    assert dropped.float().mean((2, 3)).max() < 1


def test_subnets_drop_nothing_beyond_their_masks(x):
    plain, dropping = twins(0.5)
    masks = [BlockMask(torch.ones(2), torch.ones(block.bn2.num_features)) for block in plain.blocks]
    assert torch.equal(dropping.train()(x, masks), plain.train()(x, masks))
    assert not torch.equal(dropping(x), plain(x))
