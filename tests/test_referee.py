import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from rbench.errors import AttackError, ModelError
from rbench.models.linear import linear
from rbench.referee import Witness, judge, logits_of
from rbench.types import Threat

LINF, L2 = Threat("linf", "8/255"), Threat("l2", "1/2")


@pytest.fixture
def game():
    model = linear(12, 3).requires_grad_(False)
    x = torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    return model, x, model(x).argmax(1)


def verdict(game, x_adv, threat=LINF):
    model, x, y = game
    return judge(model, x, y, x_adv, threat, classes=3, attack="cheat")


def test_the_verdict_is_recomputed_by_hand(game):
    model, x, y = game
    x_adv = x + 0.01
    got = verdict(game, x_adv)
    logits = model(x_adv)
    assert torch.equal(got.pred, logits.argmax(1))
    for i, label in enumerate(y):
        others = [logits[i, k] for k in range(3) if k != label]
        assert got.margin[i] == logits[i, label] - max(others)
    assert got.distance == pytest.approx([0.01] * 5, abs=1e-7)
    assert verdict(game, x_adv, L2).distance == pytest.approx([0.01 * 12**0.5] * 5, abs=1e-6)


CHEATS = {
    "nothing": (lambda x: None, "returned NoneType"),
    "a shorter batch": (lambda x: x[:-1], "changed the shape"),
    "another dtype": (lambda x: x.double(), "changed the dtype"),
    "NaN": (lambda x: x * float("nan"), "NaN or infinite pixels"),
    "one infinite pixel": (lambda x: x.index_fill(3, torch.tensor([0]), float("inf")), "NaN or infinite pixels"),
    "below the box": (lambda x: x - 1, r"left the range \[0, 1\]"),
    "above the box": (lambda x: x + 1, r"left the range \[0, 1\]"),
    "beyond the ball": (lambda x: x + 8 / 255 + 1e-4, "left the linf ball of eps = 8/255"),
    "one pixel beyond": (lambda x: x + 0.04 * (torch.arange(2) == 1), "left the linf ball"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheats_are_refused_by_name(game, cheat):
    forge, sentence = CHEATS[cheat]
    with pytest.raises(AttackError, match=f"attack 'cheat'.*{sentence}"):
        verdict(game, forge(game[1]))


def test_one_bad_sample_spoils_the_batch_for_l2(game):
    x_adv = game[1].clone()
    x_adv[3, :, 0, 0] += 0.3
    with pytest.raises(AttackError, match="left the l2 ball"):
        verdict(game, x_adv, L2)


@given(st.floats(0, 2e-5))
@example(1.2e-6)
@example(1.5e-6)
def test_the_tolerance_is_eps_1e_5_plus_1e_6(excess):
    x = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)
    model = linear(12, 3).double().requires_grad_(False)
    x_adv = x + (LINF.radius + excess)
    allowed = float((x_adv - x).max()) <= LINF.radius * (1 + 1e-5) + 1e-6
    try:
        judge(model, x, torch.tensor([0]), x_adv, LINF, classes=3, attack="edge")
    except AttackError:
        assert not allowed
    else:
        assert allowed


class Bad(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


BAD_MODELS = {
    "nan": (lambda m, x: torch.full((len(x), 3), float("nan")), "NaN or infinite logits"),
    "one nan": (lambda m, x: torch.eye(len(x), 3).log(), "NaN or infinite logits"),
    "classes": (lambda m, x: torch.randn(len(x), 4), r"returned shape \[5, 4\].*needs \[5, 3\]"),
    "softmax": (lambda m, x: torch.softmax(x.flatten(1)[:, :3], 1), "returned probabilities"),
    "tuple": (lambda m, x: (x, x), "returned tuple"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_models_are_named(game, kind):
    function, sentence = BAD_MODELS[kind]
    with pytest.raises(ModelError, match=sentence):
        logits_of(Bad(function), game[1], 3)


def test_logits_that_only_look_like_probabilities_pass():
    assert logits_of(Bad(lambda m, x: torch.tensor([[2.0, -1.0]])), torch.rand(1, 3, 2, 2), 2).shape == (1, 2)


def test_a_model_that_learns_while_it_is_asked_is_caught(game):
    model = Bad(lambda m, x: m.count.add_(1) + torch.randn(len(x), 3))
    witness = Witness(model)
    witness.check("nothing")
    logits_of(model, game[1], 3)
    with pytest.raises(ModelError, match="'count' changed while judged"):
        witness.check("judged")


def test_changed_weights_training_flags_and_new_state_are_caught(game):
    model = game[0]
    witness = Witness(model)
    model.train(not model.training)
    with pytest.raises(ModelError, match="training flag"):
        witness.check("attacked")
    model.train(not model.training)
    model.register_buffer("extra", torch.zeros(1))
    with pytest.raises(ModelError, match="'extra'"):
        witness.check("attacked")
    del model.extra
    witness.check("attacked")
    model.classifier.weight.data[0, 0] += 1e-7
    with pytest.raises(ModelError, match=r"classifier\.weight"):
        witness.check("attacked")
