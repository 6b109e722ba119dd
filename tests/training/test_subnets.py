import copy
import math
from itertools import pairwise

import pytest
import torch

from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.models.masks import BlockMask
from rbench.models.preact_resnet import preact_resnet_small
from rbench.models.wide_resnet import wide_resnet
from rbench.recipe import Ews
from rbench.training.ews.search import Enhancer
from rbench.training.ews.subnets import block_widths, kept, subnet_logits, subnet_loss, subnet_of
from rbench.training.ranks import Ranks

CPU = torch.device("cpu")


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = preact_resnet_small(10, [0.3] * 3, [0.3] * 3, width=4)
    net(torch.rand(16, 3, 32, 32))  # running statistics that are not the initial ones
    return net


@pytest.fixture
def x():
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def ones(model):
    return [BlockMask(torch.ones(2), torch.ones(width)) for width in block_widths(model)]


def test_subnet_passes_leave_no_trace(model, x):
    model.eval()
    before, logits = copy.deepcopy(model.state_dict()), model(x)
    enhancer = Enhancer(model, Ews(), seed=0)
    parts = [(x, torch.arange(8))]
    subnet_loss(Ews(), logits.detach(), subnet_logits(model, x, enhancer.subnet(model, 0, 0)), torch.arange(8))
    enhancer.search(model, parts, Ranks(), 0, 0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(model(x), logits)
    assert not model.training
    model.train()
    enhancer.search(model, parts, Ranks(), 0, 0)
    assert model.training
    model(x)  # the full network's own passes are still remembered
    assert not torch.equal(model.bn.running_mean, before["bn.running_mean"])


def test_subnet_passes_use_the_statistics_of_the_batch(model, x):
    model.train()
    assert torch.equal(subnet_logits(model.eval(), x, ones(model)), model.train()(x))


def test_mask_of_ones_is_the_full_network(model, x):
    for training in (True, False):
        model.train(training)
        assert torch.equal(model(x, ones(model)), model(x))


def test_subnets_know_which_residual_branches_they_drop(model):
    masks = subnet_of(block_widths(model), [([0], [1, 3]), ([1], []), ([0, 1], range(16))], CPU)
    assert [mask.residual for mask in masks] == [True, False, True]
    assert [mask.paths.tolist() for mask in masks] == [[1, 0], [0, 1], [1, 1]]


def test_dropped_channels_do_not_matter_and_kept_ones_do(model, x):
    model.eval()
    masks = subnet_of(block_widths(model), [([0], [1, 3]), ([0, 1], range(8)), ([0, 1], range(16))], CPU)
    before = model(x, masks)
    with torch.no_grad():
        model.blocks[0].conv2.weight[:, [0, 2]] += 7
    assert torch.equal(model(x, masks), before)
    with torch.no_grad():
        model.blocks[0].conv2.weight[:, 1] += 7
    assert not torch.allclose(model(x, masks), before)


@pytest.mark.parametrize("index", [0, 1])
def test_dropped_paths_add_nothing(model, index):
    block = model.blocks[index].eval()
    h = torch.rand(2, block.bn1.num_features, 8, 8)
    activated = torch.relu(block.bn1(h))
    shortcut = h if block.shortcut is None else block.shortcut(activated)
    residual = block.conv2(torch.relu(block.bn2(block.conv1(activated))))
    width = block.bn2.num_features
    (skip,) = subnet_of([width], [([1], [])], CPU)
    (plain,) = subnet_of([width], [([0], range(width))], CPU)
    assert torch.equal(block(h, skip), shortcut)
    assert torch.equal(block(h, plain), residual)


def test_sampled_masks_keep_half(model):
    enhancer = Enhancer(model, Ews(rho=0.5), seed=0)
    kinds = set()
    for iteration in range(40):
        for width, mask in zip(block_widths(model), enhancer.subnet(model, 0, iteration), strict=True):
            assert mask.paths.sum() == 1
            assert mask.channels.sum() == (width // 2 if mask.paths[0] else width)
            assert set(mask.channels.tolist()) <= {0.0, 1.0}
            kinds.add(int(mask.paths[0]))
    assert kinds == {0, 1}


def test_sampled_subnet_is_a_function_of_seed_epoch_and_iteration(model):
    def channels(seed, epoch, iteration):
        masks = Enhancer(model, Ews(paths=False), seed).subnet(model, epoch, iteration)
        return torch.cat([mask.channels for mask in masks]).tolist()

    assert channels(0, 1, 2) == channels(0, 1, 2)
    assert all(
        a != b for a, b in pairwise([channels(0, 1, 2), channels(0, 1, 3), channels(0, 2, 3), channels(1, 2, 3)])
    )


def test_kept_rounds_up_but_not_by_rounding_errors():
    assert [kept(0.5, 2), kept(0.9, 2), kept(0.5, 7), kept(0.9, 10), kept(0.7, 10), kept(0.1, 3)] == [1, 2, 4, 9, 7, 1]


def test_distillation_runs_from_the_full_network_to_the_subnet_by_hand():
    # Teacher (3/4, 1/4), student (1/2, 1/2) and the other way round, over a batch of two.
    odds = math.log(3)
    teacher = torch.tensor([[odds, 0.0], [0.0, 0.0]], requires_grad=True)
    student = torch.tensor([[0.0, 0.0], [odds, 0.0]], requires_grad=True)
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    second = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    y = torch.tensor([0, 1])
    loss = subnet_loss(Ews(), teacher, student, y)
    assert loss.item() == pytest.approx((first + second) / 2)
    loss.backward()
    assert teacher.grad is None
    # d KL / d student = (softmax(student) - softmax(teacher)) / batch.
    assert torch.allclose(student.grad, torch.tensor([[-0.125, 0.125], [0.125, -0.125]]))
    assert subnet_loss(Ews(), teacher[:1], student[:1], y[:1]).item() == pytest.approx(first)
    assert subnet_loss(Ews(kl="mean"), teacher, student, y).item() == pytest.approx(loss.item() / 2)  # two classes


def test_weight_of_the_distillation(model, x):
    logits = model(x).detach()
    student = subnet_logits(model, x, Enhancer(model, Ews(), seed=0).subnet(model, 0, 0)).detach()
    one, two = (subnet_loss(Ews(lam=lam), logits, student, torch.arange(8)) for lam in (1.0, 2.0))
    assert one > 0
    assert two.item() == pytest.approx(2 * one.item())


def test_networks_that_cannot_be_masked_are_refused():
    with pytest.raises(UsageError, match=r"Linear takes no subnet masks; remove \[ews\]"):
        block_widths(linear(12, 10))


def test_widths_of_a_wide_network():
    assert block_widths(wide_resnet(10, 2, 10, [0.5] * 3, [0.2] * 3)) == (32, 64, 128)
