import copy

import pytest
import torch
from torch import nn

from rbench.errors import UsageError
from rbench.models.linear import linear
from rbench.models.preact_resnet import preact_resnet_small
from rbench.recipe import InnerAttack
from rbench.rng import Draws
from rbench.training.batches import Batch
from rbench.training.inner import perturb
from rbench.training.modes import untracked
from rbench.training.objectives import adversarial, standard
from rbench.types import Threat

THREAT = Threat("linf", "0.1")


class Watched(nn.Module):
    """Remembers the images that it saw and in which mode."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, []

    def forward(self, x):
        self.seen.append((self.training, x.detach().clone()))
        return self.inner(x)


def test_on_a_linear_model_the_attack_is_optimal():
    torch.manual_seed(0)
    model = linear(12, 2)
    x, y = torch.rand(6, 3, 2, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    found = perturb(model, x, y, InnerAttack(THREAT, steps=10), Draws(0, "test", torch.arange(6)))
    weight = model.classifier.weight.detach()
    towards = torch.where(y[:, None] == 0, weight[1] - weight[0], weight[0] - weight[1]).view_as(x)
    assert torch.allclose(found, (x + 0.1 * towards.sign()).clamp(0, 1), atol=1e-6)


def test_last_iterate_is_returned_and_the_others_stay_in_the_ball():
    model = Watched(linear(12, 3))
    x, y = torch.rand(5, 3, 2, 2), torch.arange(5) % 3
    rng = Draws(0, "test", torch.arange(5))
    found = perturb(model, x, y, InnerAttack(THREAT, steps=4), rng)
    again = perturb(Watched(model.inner), x, y, InnerAttack(THREAT, steps=3), rng)
    points = [image for _, image in model.seen]
    assert len(points) == 4
    assert torch.equal(points[3], again)  # the iterate after three steps is where the fourth begins
    assert not torch.equal(points[0], x)  # a random start
    for point in [*points, found]:
        assert ((point - x).abs() <= 0.1 + 1e-6).all()
        assert ((point >= 0) & (point <= 1)).all()
    assert not found.requires_grad


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("training", [True, False])
def test_attack_runs_in_its_mode_and_leaves_no_trace(mode, training):
    torch.manual_seed(0)
    model = Watched(preact_resnet_small(10, [0.3] * 3, [0.3] * 3, width=4)).train(training)
    before = copy.deepcopy(model.state_dict())
    x, y = torch.rand(4, 3, 32, 32), torch.arange(4)
    perturb(model, x, y, InnerAttack(THREAT, steps=2, mode=mode), Draws(0, "test", torch.arange(4)))
    assert {seen for seen, _ in model.seen} == {mode == "train"}
    assert model.training == training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    norm = model.inner.bn
    assert norm.track_running_stats


def test_mode_is_restored_after_an_error():
    model = nn.Sequential(nn.BatchNorm2d(3)).eval()
    with pytest.raises(RuntimeError), untracked(model, training=True):
        raise RuntimeError
    assert not model.training
    assert model[0].track_running_stats


def test_untracked_batches_are_normalised_by_themselves():
    norm = nn.BatchNorm2d(3).eval()
    x = torch.rand(8, 3, 4, 4) * 5 + 3
    with untracked(norm, training=True):
        inside = norm(x)
    assert torch.allclose(inside.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_objectives(recipe, plain):
    model = linear(12, 3)
    x, y, rng = torch.rand(5, 3, 2, 2), torch.arange(5) % 3, Draws(0, "test", torch.arange(5))
    clean, attacked = standard(recipe=plain), adversarial(recipe=recipe)
    batch = Batch(x, y, torch.arange(5))
    assert clean.views(model, batch, rng) == (x,)
    (view,) = attacked.views(model, batch, rng)
    assert torch.equal(view, perturb(model, x, y, recipe.attack, rng))
    loss = nn.functional.cross_entropy
    assert loss(model(view), y) > loss(model(x), y)
    logits = model(x)
    assert torch.equal(clean.loss([logits], y), loss(logits, y))
    assert torch.equal(attacked.loss([logits], y), loss(logits, y))


def test_label_smoothing(plain):
    from dataclasses import replace

    logits, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    smooth = standard(recipe=replace(plain, label_smoothing=0.2)).loss([logits], y)
    logs = logits.log_softmax(1)[0]
    assert smooth.item() == pytest.approx(-(0.9 * logs[0] + 0.1 * logs[1]).item())


def test_adversarial_training_without_an_attack_is_refused(plain):
    with pytest.raises(UsageError, match=r"needs an \[attack\]"):
        adversarial(recipe=plain)
