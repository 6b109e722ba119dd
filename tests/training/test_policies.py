import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from rbench.data.digits import digits
from rbench.errors import UsageError
from rbench.recipe import Augment
from rbench.rng import Draws
from rbench.training.pictures import pictures
from rbench.training.policies import by_policy


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(digits("train").pixels[:30]).float() / 255


def draws(count, stream="test"):
    return Draws(0, stream, torch.arange(count))


@pytest.mark.parametrize("policy", ["cifar10", "imagenet", "svhn"])
def test_images_are_what_torchvision_makes_of_them_under_their_seeds(x, policy):
    found = by_policy(x, Augment(policy=policy, fill=77), draws(30))
    alter = AutoAugment(AutoAugmentPolicy[policy.upper()], fill=77)
    for image, seed, result in zip(pictures(x), draws(30).words(1, 0)[:, 0].tolist(), found, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = np.asarray(alter(image))
        assert np.array_equal((255 * result).round().numpy().astype(np.uint8).transpose(1, 2, 0), expected)
    changed = (found != x).flatten(1).any(1)
    assert changed.float().mean() > 0.3
    assert found.dtype == torch.float32


def test_what_becomes_of_an_image_does_not_depend_on_its_batch_nor_on_the_global_generator(x):
    augment = Augment(policy="cifar10")
    torch.manual_seed(1)
    whole = by_policy(x, augment, draws(30))
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)  # the global generator is as it was
    rows = torch.tensor([21, 4, 9])
    assert torch.equal(by_policy(x[rows], augment, Draws(0, "test", rows)), whole[rows])


def test_epochs_differ(x):
    augment = Augment(policy="cifar10")
    one, two = (by_policy(x, augment, draws(30, stream)) for stream in ("epoch 0", "epoch 1"))
    assert (one != two).flatten(1).any(1).float().mean() > 0.5


def test_every_pair_of_the_policy_comes_up(x, monkeypatch):
    seen = []
    original = AutoAugment.get_params
    monkeypatch.setattr(AutoAugment, "get_params", lambda _, count: seen.append(original(count)) or seen[-1])
    for stream in map(str, range(10)):
        by_policy(x, Augment(policy="cifar10"), draws(30, stream))
    assert {pair for pair, _, _ in seen} == set(range(25))
    assert np.mean([probability.mean() for _, probability, _ in seen]) == pytest.approx(0.5, abs=0.06)


def test_without_a_policy_nothing_happens(x):
    assert by_policy(x, Augment(pad=2), draws(30)) is x


def test_grey_levels_are_bytes():
    with pytest.raises(UsageError, match=r"augment.fill = 256 must be a grey level from 0 to 255"):
        Augment(fill=256)
