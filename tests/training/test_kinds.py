"""Networks that keep clean and adversarial images apart: who is told what, the type loss, and rates by part."""

import csv
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rbench.errors import UsageError
from rbench.recipe import AugMix, Awp, InnerAttack, Optimiser, Selection
from rbench.training import loop
from rbench.training.history import Row, best_of
from rbench.training.objectives import adversarial, augmix, standard, trades
from rbench.training.pipeline import Pipeline
from rbench.training.setting import prepare
from rbench.training.step import Part, loss_of, step
from rbench.types import Call, ModelCard, Threat

THREAT = Threat("linf", "24/255")
ARGS = {"classes": 10, "depths": [1, 1], "widths": [4, 8], "router_depths": [1, 1], "router_widths": [3, 5], "stem": "digits"}  # fmt: skip # noqa: E501
TEACHERS = {"clean": "standard-digits", "robust": "at-digits"}
OBJECTIVES = {
    "standard": Call("rbench.training.objectives:standard"),
    "adversarial": Call("rbench.training.objectives:adversarial"),
    "both": Call("rbench.training.objectives:adversarial", {"gamma": 1.0}),
    "trades": Call("rbench.training.objectives:trades"),
    "mtard": Call("rbench.training.mtard:mtard", TEACHERS),
    "augmix": Call("rbench.training.objectives:augmix"),
}
KINDS = {
    "standard": (True,),
    "adversarial": (False,),
    "both": (True, False),
    "trades": (True, False),
    "mtard": (True, False),
    "augmix": (True, True, True),
}


def dynamic(**args):
    return ModelCard("aw", "AW", Call("rbench.models.awnet:awnet", {**ARGS, **args}), "digits")


@pytest.fixture
def by(plain):
    """The recipe of an objective."""

    def made(name):
        attack = InnerAttack(THREAT, steps=2, rel_step="1/2", mode="eval")
        return replace(
            plain,
            objective=OBJECTIVES[name],
            attack=None if name in ("standard", "augmix") else attack,
            augmix=AugMix() if name == "augmix" else None,
        )

    return made


def batch_of(setting, count=12):
    return Pipeline(setting.data, setting.recipe, 0)[0, setting.fitted[:count]]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_it_and_says_which_views_are_clean(by, name, monkeypatch):
    setting = prepare(dynamic(), by(name), 0)
    assert setting.objective.clean == KINDS[name]
    told, informed = [], setting.model.informed
    monkeypatch.setattr(setting.model, "informed", lambda views, clean: told.append(clean) or informed(views, clean))
    before = {key: value.clone() for key, value in setting.model.state_dict().items()}
    assert torch.isfinite(step(setting, 0, 0, [batch_of(setting)], 12)).all()
    assert told == [KINDS[name]]
    moved = {key for key, value in setting.model.state_dict().items() if not torch.equal(value, before[key])}
    for side, seen in (("nat", True), ("adv", False)):
        norms = {key for key in before if f".{side}." in key}
        assert norms <= moved if seen in KINDS[name] else norms.isdisjoint(moved)
    assert {"router.kind.weight", "router.kind.bias", "linear.weight", "router.heads.0.weight"} <= moved


@pytest.mark.parametrize("name", ["standard", "adversarial", "mtard"])
def test_networks_apart_learn_from_views_of_their_own_kind(by, name):
    card = ModelCard("apart", "Apart", Call("rbench.models.separate:separate_net", ARGS), "digits")
    setting = prepare(card, by(name), 0)
    before = {key: value.clone() for key, value in setting.model.state_dict().items()}
    assert torch.isfinite(step(setting, 0, 0, [batch_of(setting)], 12)).all()
    moved = {key for key, value in setting.model.state_dict().items() if not torch.equal(value, before[key])}
    learns = {"clean": True in KINDS[name], "robust": False in KINDS[name], "router": True}
    assert moved == {key for key in before if learns[key.partition(".")[0]]}


def test_the_type_loss_by_hand(by):
    """The mean over both halves of the binary cross-entropy of P(clean), beside the objective's own loss."""
    setting = prepare(dynamic(), by("trades"), 0)
    batch = batch_of(setting)
    views = (batch.x, (batch.x + 0.05).clamp(0, 1))
    loss, logits = loss_of(setting, Part(views, batch.y, 1.0))
    _, kinds = setting.model.informed(views, (True, False))
    p = torch.cat(kinds).softmax(1)[:, 1]
    y = torch.cat([torch.ones(12), torch.zeros(12)])
    expected = F.binary_cross_entropy(p, y) + setting.objective.loss(logits, batch.y)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("norms", ["adversarial", "one"])
def test_without_a_type_head_there_is_no_type_loss(by, norms):
    setting = prepare(dynamic(norms=norms), by("mtard"), 0)
    batch = batch_of(setting)
    loss, logits = loss_of(setting, Part((batch.x, batch.x), batch.y, 1.0))
    assert torch.equal(loss, setting.objective.loss(logits, batch.y))


def test_a_static_student_is_asked_as_ever(card, by):
    setting = prepare(card, by("mtard"), 0)
    batch = batch_of(setting)
    loss, logits = loss_of(setting, Part((batch.x, batch.x), batch.y, 1.0))
    assert torch.equal(loss, setting.objective.loss(logits, batch.y))
    assert len(logits) == 4


def test_weights_are_perturbed_against_the_type_loss_too(by):
    setting = prepare(dynamic(), replace(by("mtard"), awp=Awp(0.01)), 0)
    assert torch.isfinite(step(setting, 0, 0, [batch_of(setting)], 12)).all()


@pytest.mark.parametrize("decay_norms", [True, False])
def test_parts_of_a_network_have_their_share_of_the_rate(by, decay_norms):
    """One step of plain gradient descent is the rate times the share times the gradient."""
    shares = {"router": 0.1, "router.kind": 0.5}
    optimiser = Optimiser(lr=0.2, momentum=0.0, weight_decay=0.0, shares=shares, decay_norms=decay_norms)
    recipe = replace(by("standard"), optimiser=optimiser, epochs=1)
    setting = prepare(dynamic(), recipe, 0)
    assert sum(len(group["params"]) for group in setting.optimiser.param_groups) == len(list(setting.model.parameters()))  # fmt: skip # noqa: E501
    for group in setting.optimiser.param_groups:
        group["lr"] = recipe.rate(0) * group["share"]
    before = {name: parameter.detach().clone() for name, parameter in setting.model.named_parameters()}
    batch = batch_of(setting)
    loss, _ = loss_of(replace(setting, model=setting.model.train()), Part((batch.x,), batch.y, 1.0))
    names, parameters = zip(*((n, p) for n, p in setting.model.named_parameters() if ".adv." not in n), strict=True)
    gradients = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    step(setting, 0, 0, [batch], 12)
    for name, parameter in setting.model.named_parameters():
        share = 0.5 if name.startswith("router.kind.") else 0.1 if name.startswith("router.") else 1.0
        moved = 0.2 * share * gradients[name] if name in gradients else torch.zeros_like(parameter)
        assert torch.allclose(before[name] - parameter, moved, atol=1e-6)


def test_shares_reach_every_epoch_of_a_training(by, tmp_path, monkeypatch):
    seen, original = [], loop.step

    def noting(setting, *rest):
        seen.append({(group["share"], round(group["lr"], 9)) for group in setting.optimiser.param_groups})
        return original(setting, *rest)

    monkeypatch.setattr(loop, "step", noting)
    recipe = replace(by("standard"), optimiser=Optimiser(lr=0.05, shares={"router": 0.1}))
    result = loop.train(dynamic(), recipe, out=tmp_path, progress=False)
    assert {frozenset(each) for each in seen} == {
        frozenset({(1.0, 0.05), (0.1, 0.005)}),
        frozenset({(1.0, 0.005), (0.1, 0.0005)}),
    }
    assert [row.lr for row in result.rows] == pytest.approx([0.05] * 3 + [0.005])


def stopped(card, recipe, out, *, epoch=1, iteration=1):
    """Let a training be interrupted in the middle of an epoch."""
    original = loop.step

    def stopping(setting, at, step, *rest):
        done = original(setting, at, step, *rest)
        if (at, step) == (epoch, iteration):
            raise KeyboardInterrupt
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            loop.train(card, recipe, out=out, progress=False)


def test_states_that_know_no_shares_go_on(card, plain, tmp_path):
    """As they were written before there were shares and memories."""
    whole = loop.train(card, plain, out=tmp_path / "whole", progress=False)
    stopped(card, plain, tmp_path / "parts")
    path = tmp_path / "parts" / "state.pt"
    state = torch.load(path, weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        del group["share"]
    del state["memory"]
    torch.save(state, path)
    parts = loop.train(card, plain, out=tmp_path / "parts", progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Optimiser(lr=0.1, shares={"router": 0.0}), r"optimiser.shares.router = 0.0 must be greater than 0"),
        (lambda: Selection(by="w-robust"), "selection.by = 'w-robust' needs a robust accuracy; give selection.threat"),
    ],
)
def test_words_that_mean_nothing_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_part_that_is_not_there_is_refused(by):
    recipe = replace(by("standard"), optimiser=Optimiser(lr=0.1, shares={"route": 0.1}))
    with pytest.raises(UsageError, match=r"no parameter's name begins with 'route'; there are conv1, bn1, .* router"):
        prepare(dynamic(), recipe, 0)


def row(epoch, clean, robust):
    return Row(epoch, 0.1, 1.0, 0.0, 0.5, clean, robust, None, 1.0)


def test_epochs_by_robust_and_by_w_robust_accuracy():
    rows = [row(0, 0.9, 0.5), row(1, 0.7, 0.6), row(2, 0.8, 0.6), row(3, 1.0, 0.4), row(4, 1.0, 0.4)]
    assert best_of(rows).epoch == 2
    assert best_of(rows, "w-robust").epoch == 2  # 0.7 as epochs 0, 3 and 4, and more robust
    assert best_of([*rows[:2], *rows[3:]], "w-robust").epoch == 0
    assert best_of(rows[3:], "w-robust").epoch == 3
    assert best_of([row(0, 0.5, 0.5), row(1, 0.9, 0.2)], "w-robust").epoch == 1
    assert best_of([row(0, 0.5, 0.5), row(1, 0.9, 0.2)]).epoch == 0


def test_the_recipe_picks_the_epoch_that_is_kept(by, tmp_path):
    recipe = replace(by("mtard"), selection=Selection(THREAT, steps=2, rel_step="1/2", by="w-robust"))
    result = loop.train(dynamic(), recipe, out=tmp_path, progress=False)
    with (tmp_path / "metrics.csv").open() as file:
        merits = [float(each["clean"]) + float(each["robust"]) for each in csv.DictReader(file)]
    assert merits[result.best.epoch] == max(merits)


def test_it_resumes_to_the_bit(by, tmp_path):
    recipe = replace(by("mtard"), optimiser=Optimiser(lr=0.05, shares={"router": 0.1}), epochs=3)
    whole = loop.train(dynamic(), recipe, out=tmp_path / "whole", progress=False)
    stopped(dynamic(), recipe, tmp_path / "parts")
    parts = loop.train(dynamic(), recipe, out=tmp_path / "parts", progress=False)
    assert parts.weights.read_bytes() == whole.weights.read_bytes()


def test_objectives_say_the_kinds_of_their_views_alone(recipe, by):
    assert standard(recipe=recipe).clean == (True,)
    assert adversarial(recipe=recipe).clean == (False,)
    assert trades(recipe=recipe).clean == (True, False)
    assert augmix(recipe=by("augmix")).clean == (True, True, True)
